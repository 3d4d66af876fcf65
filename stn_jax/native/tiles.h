// Matrix products of which a part at a time is summed up in registers.

#ifndef STN_JAX_TILES_H_
#define STN_JAX_TILES_H_

#include <algorithm>
#include <cstdint>
#include <type_traits>

// A register's numbers, and as many rows as leave a tile of two registers' width in registers.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kMostRows = 14;
#elif defined(__AVX__)
constexpr int kLanes = 8, kMostRows = 6;
#else
constexpr int kLanes = 4, kMostRows = 8;
#endif

// Features are taken in panels of this width, the last one less; the gaps in it are zeros.
constexpr int kPanel = 2 * kLanes;

template <int lanes>
struct Register {
  typedef float Type __attribute__((vector_size(lanes * sizeof(float)), aligned(4), may_alias));

  // Through a pointer, as memcpy would be two moves of half the size, by way of memory, where the
  // compiler tunes for a processor on which such moves once were the faster ones.
  [[gnu::always_inline]] static Type& At(float* place) { return *reinterpret_cast<Type*>(place); }
  [[gnu::always_inline]] static const Type& At(const float* place) {
    return *reinterpret_cast<const Type*>(place);
  }

  static_assert(alignof(Type) == alignof(float), "rows of a matrix start anywhere");
};

// A part of the result, rows x width, summed up in registers.
template <int rows, int width>
struct Tile {
  static constexpr int lanes = std::min(width, kLanes), vectors = width / lanes;
  using Part = Register<lanes>;

  // sum[i, j] += left[i * across + k * along] * right[k, j], for k in 0..count.
  template <typename Across, typename Along>
  [[gnu::always_inline]] void Add(const float* left, Across across, Along along,
                                  const float* right, int64_t count) {
    for (int64_t k = 0; k < count; ++k, left += along, right += width) {
      typename Part::Type panel[vectors];
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) panel[j] = Part::At(right + j * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
        for (int j = 0; j < vectors; ++j) sum[i][j] += left[i * across] * panel[j];
      }
    }
  }

  // Adds one row after the other to rows that may overlap.
  [[gnu::always_inline]] void AddTo(float* to, int64_t step, int64_t columns) const {
    for (int i = 0; i < rows; ++i, to += step) {
      float row[width];
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) Part::At(row + j * lanes) = sum[i][j];
      if (columns == width) {
        for (int j = 0; j < width; ++j) to[j] += row[j];
      } else {
        for (int64_t j = 0; j < columns; ++j) to[j] += row[j];
      }
    }
  }

  [[gnu::always_inline]] void Load(const float* from) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) sum[i][j] = Part::At(from + i * width + j * lanes);
    }
  }

  [[gnu::always_inline]] void Store(float* to, int64_t step) const {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) Part::At(to + i * step + j * lanes) = sum[i][j];
    }
  }

  typename Part::Type sum[rows][vectors] = {};
};

// Calls body with 1..kMostRows as a constant.
template <int rows = 1, typename Body>
void WithRows(int count, Body&& body) {
  if constexpr (rows <= kMostRows) {
    if (count == rows) return body(std::integral_constant<int, rows>());
    WithRows<rows + 1>(count, body);
  }
}

// Calls body(first, rows) for parts of 0..count, all about equally many.
template <typename Body>
void ForTiles(int64_t count, Body&& body) {
  const int64_t parts = (count + kMostRows - 1) / kMostRows;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * count / parts;
    WithRows((part + 1) * count / parts - first, [&](auto rows) { body(first, rows); });
  }
}

// Calls body with the width of a panel that holds so many features, as a constant.
template <typename Body>
void WithWidth(int64_t features, Body&& body) {
  if (features > kLanes) return body(std::integral_constant<int, kPanel>());
  if (features > kLanes / 2) return body(std::integral_constant<int, kLanes>());
  body(std::integral_constant<int, kLanes / 2>());
}

#endif  // STN_JAX_TILES_H_
