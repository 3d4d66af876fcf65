// Building blocks for matrix products. The product of a left matrix [rows, count] and a right
// matrix [count, features] is computed in tiles, each of which is accumulated in vector registers.

#ifndef STN_JAX_TILES_H_
#define STN_JAX_TILES_H_

#include <algorithm>
#include <cstdint>
#include <type_traits>

// kLanes: floats in a vector register. kMostRows: rows of the largest tile, two registers wide, for
// which the compiler still keeps all sums in registers.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kMostRows = 14;
#elif defined(__AVX__)
constexpr int kLanes = 8, kMostRows = 6;
#else
constexpr int kLanes = 4, kMostRows = 8;
#endif

// The columns of the right matrix, the features, are split into panels of this width. Each panel is
// packed: copied to contiguous memory, row after row. The last one may be narrower (see WithWidth),
// and its columns without a feature are zeros.
constexpr int kPanel = 2 * kLanes;

// A vector of floats. `aligned(4)` and `may_alias` allow it to lie anywhere in an array of floats.
template <int lanes>
struct Register {
  typedef float Type __attribute__((vector_size(lanes * sizeof(float)), aligned(4), may_alias));

  // Goes through a pointer. When tuning for some processors, compilers turn memcpy into two moves
  // of half the size, through memory, because those were once faster there.
  [[gnu::always_inline]] static Type& At(float* place) { return *reinterpret_cast<Type*>(place); }
  [[gnu::always_inline]] static const Type& At(const float* place) {
    return *reinterpret_cast<const Type*>(place);
  }

  static_assert(alignof(Type) == alignof(float), "rows of a matrix start anywhere");
};

// A part of the result, [rows, width]. Both are template parameters, so that loops over them are
// unrolled and `sum` stays in registers.
template <int rows, int width>
struct Tile {
  static constexpr int lanes = std::min(width, kLanes), vectors = width / lanes;
  using Part = Register<lanes>;

  // sum[i, j] += left[i * across + k * along] * right[k, j], for k in 0..count.
  //
  // `across` and `along` are the strides of the left matrix. A stride of 1 is passed as an
  // std::integral_constant, so that the compiler knows it. `right` is packed, [count, width].
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

  // Adds the first `columns` of each row to memory; rows there are `step` floats apart. They may
  // overlap, so they are added one after the other.
  [[gnu::always_inline]] void AddTo(float* to, int64_t step, int64_t columns) const {
    for (int i = 0; i < rows; ++i, to += step) {
      float row[width];
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) Part::At(row + j * lanes) = sum[i][j];
      if (columns == width) {  // A constant number of iterations, which is unrolled.
        for (int j = 0; j < width; ++j) to[j] += row[j];
      } else {
        for (int64_t j = 0; j < columns; ++j) to[j] += row[j];
      }
    }
  }

  // Reads the tile from a packed array, [rows, width].
  [[gnu::always_inline]] void Load(const float* from) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) sum[i][j] = Part::At(from + i * width + j * lanes);
    }
  }

  // Writes the tile to rows that are `step` floats apart.
  [[gnu::always_inline]] void Store(float* to, int64_t step) const {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
      for (int j = 0; j < vectors; ++j) Part::At(to + i * step + j * lanes) = sum[i][j];
    }
  }

  typename Part::Type sum[rows][vectors] = {};
};

// Calls body with `count`, 1..kMostRows, as a compile-time constant.
template <int rows = 1, typename Body>
void WithRows(int count, Body&& body) {
  if constexpr (rows <= kMostRows) {
    if (count == rows) return body(std::integral_constant<int, rows>());
    WithRows<rows + 1>(count, body);
  }
}

// Splits 0..count into parts of about the same size, at most kMostRows, and calls body(first, rows)
// on each, with `rows` as a compile-time constant.
template <typename Body>
void ForTiles(int64_t count, Body&& body) {
  const int64_t parts = (count + kMostRows - 1) / kMostRows;
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t first = part * count / parts;
    WithRows((part + 1) * count / parts - first, [&](auto rows) { body(first, rows); });
  }
}

// Calls body with the width of the panel for the given features, as a compile-time constant: the
// smallest of three widths that holds them all, or else kPanel.
template <typename Body>
void WithWidth(int64_t features, Body&& body) {
  if (features > kLanes) return body(std::integral_constant<int, kPanel>());
  if (features > kLanes / 2) return body(std::integral_constant<int, kLanes>());
  body(std::integral_constant<int, kLanes / 2>());
}

#endif  // STN_JAX_TILES_H_
