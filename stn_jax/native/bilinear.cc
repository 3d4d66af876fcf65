// Bilinear interpolation and its transposes, for XLA on the CPU: see stn_jax/bilinear.py.
//
// A batch is all axes in front of those named in the signatures there. Every number is the sum of
// the same terms in the same order, however many threads there are.
//
// Points are taken in blocks. Where they lie is found in loops over a block, which compilers
// vectorise; the pixels there are then read point by point. A tap outside of the image is 0.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <type_traits>
#include <vector>

#include "coordinates.h"
#include "parallel.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

using Floats = ffi::Buffer<ffi::F32>;

// A block of points. Each has four taps: upper left, upper right, lower left and lower right.
struct Block {
  // Which pixels are the taps, or -1 outside of the rows from `top` to before `bottom`.
  void FindPixels(int32_t top, int32_t bottom, int32_t width) {
#pragma omp simd simdlen(8)
    for (int64_t i = 0; i < count; ++i) {
      const int32_t row = y.first[i], column = x.first[i], pixel = row * width + column;
      const bool upper = IsIn(row, top, bottom), lower = IsIn(row + 1, top, bottom);
      const bool left = IsIn(column, 0, width), right = IsIn(column + 1, 0, width);
      pixels[i][0] = upper & left ? pixel : -1;
      pixels[i][1] = upper & right ? pixel + 1 : -1;
      pixels[i][2] = lower & left ? pixel + width : -1;
      pixels[i][3] = lower & right ? pixel + width + 1 : -1;
    }
  }

  void FindWeights() {
#pragma omp simd simdlen(8)
    for (int64_t i = 0; i < count; ++i) {
      const float u = x.t[i], v = y.t[i];
      weights[i][0] = (1 - v) * (1 - u);
      weights[i][1] = (1 - v) * u;
      weights[i][2] = v * (1 - u);
      weights[i][3] = v * u;
    }
  }

  // The taps of a point in an image; those outside are `zeros`.
  template <typename Channels>
  std::array<const float*, 4> Taps(int64_t i, const float* image, Channels channels,
                                   const std::vector<float>& zeros) const {
    auto at = [&](int64_t pixel) { return pixel < 0 ? zeros.data() : image + pixel * channels; };
    return {at(pixels[i][0]), at(pixels[i][1]), at(pixels[i][2]), at(pixels[i][3])};
  }

  int64_t image, begin, count;  // The block's first point, in all images, and how many there are.
  Places x, y;
  int32_t pixels[kBlock][4];
  float weights[kBlock][4];
};

struct Sampler {
  Sampler(const Floats& grid, int64_t height, int64_t width, int64_t padding, int64_t align_corners)
      : grid(grid.typed_data()),
        x(width, padding, align_corners),
        y(height, padding, align_corners) {
    auto shape = grid.dimensions();
    const auto middle = shape.end() - 3;
    images = std::accumulate(shape.begin(), middle, int64_t{1}, std::multiplies<>());
    points = middle[0] * middle[1];
  }

  // Calls body(block) for the points from `first` to before `last`, counted through all images.
  template <bool slopes = false, typename Body>
  void ForBlocks(int64_t first, int64_t last, Body body) const {
    Block block;
    while (first < last) {
      block.image = first / points;
      block.begin = first;
      block.count = std::min({kBlock, last - first, (block.image + 1) * points - first});
      x.Locate<slopes>(grid + 2 * first, block.count, block.x);
      y.Locate<slopes>(grid + 2 * first + 1, block.count, block.y);
      body(block);
      first += block.count;
    }
  }

  const float* grid;
  int64_t images, points;  // `points` in each image.
  Axis x, y;
};

// Several numbers, anywhere in memory. Sums in plain loops are compiled to slower code.
typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));

inline Eight Load(const float* from) { return *reinterpret_cast<const Eight*>(from); }

inline float Sum(Eight x) {
  const Four y = Four{x[0], x[1], x[2], x[3]} + Four{x[4], x[5], x[6], x[7]};
  return (y[0] + y[1]) + (y[2] + y[3]);
}

// Calls body with the channels; few of them as a constant, for loops that are unrolled.
template <typename Body>
ffi::Future WithChannels(int64_t channels, Body body) {
  switch (channels) {
    case 1: return body(std::integral_constant<int64_t, 1>());
    case 3: return body(std::integral_constant<int64_t, 3>());
    default: return body(channels);
  }
}

// The taps of a block in an image of one channel and at least two columns.
void ReadTaps(const Block& block, const float* image, int32_t height, int32_t width,
              float (&taps)[4][kBlock]) {
  int32_t upper[kBlock], lower[kBlock];
  float pairs[2][kBlock][2];
  // Two neighbours in a row are one load of 8 bytes, which must not reach past the row.
#pragma omp simd simdlen(8)
  for (int64_t i = 0; i < block.count; ++i) {
    const int32_t column = std::min(std::max(block.x.first[i], 0), width - 2);
    const int32_t row = block.y.first[i];
    upper[i] = std::min(std::max(row, 0), height - 1) * width + column;
    lower[i] = std::min(std::max(row + 1, 0), height - 1) * width + column;
  }
  for (int64_t i = 0; i < block.count; ++i) {
    std::memcpy(pairs[0][i], image + upper[i], sizeof(pairs[0][i]));
    std::memcpy(pairs[1][i], image + lower[i], sizeof(pairs[1][i]));
  }
#pragma omp simd simdlen(8)
  for (int64_t i = 0; i < block.count; ++i) {
    const int32_t column = block.x.first[i], row = block.y.first[i];
    const bool is_upper = IsIn(row, 0, height), is_lower = IsIn(row + 1, 0, height);
    const bool is_left = IsIn(column, 0, width), is_last = column > width - 2;
    const bool is_right = IsIn(column + 1, 0, width), is_first = column < 0;
    const float upper_left = is_last ? pairs[0][i][1] : pairs[0][i][0];
    const float upper_right = is_first ? pairs[0][i][0] : pairs[0][i][1];
    const float lower_left = is_last ? pairs[1][i][1] : pairs[1][i][0];
    const float lower_right = is_first ? pairs[1][i][0] : pairs[1][i][1];
    taps[0][i] = is_upper & is_left ? upper_left : 0;
    taps[1][i] = is_upper & is_right ? upper_right : 0;
    taps[2][i] = is_lower & is_left ? lower_left : 0;
    taps[3][i] = is_lower & is_right ? lower_right : 0;
  }
}

ffi::Future Read(ffi::ThreadPool threads, Floats image, Floats grid, ffi::Result<Floats> values,
                 int64_t height, int64_t width, int64_t padding, int64_t align_corners) {
  const Sampler sampler(grid, height, width, padding, align_corners);
  const float* from = image.typed_data();
  float* to = values->typed_data();
  return WithChannels(image.dimensions().back(), [=](auto channels) {
    const int64_t count = sampler.images * sampler.points, step = height * width * channels;
    return InParallel(threads, count, channels + 4, [=](int64_t first, int64_t last) {
      const std::vector<float> zeros(channels);
      sampler.ForBlocks(first, last, [&](Block& block) {
        const float* pixels = from + block.image * step;
        float* __restrict value = to + block.begin * channels;
        if (channels == 1 && width > 1) {
          float taps[4][kBlock];
          ReadTaps(block, pixels, height, width, taps);
#pragma omp simd simdlen(8)
          for (int64_t i = 0; i < block.count; ++i) {
            const float u = block.x.t[i], v = block.y.t[i];
            value[i] = (1 - v) * ((1 - u) * taps[0][i] + u * taps[1][i]) +
                       v * ((1 - u) * taps[2][i] + u * taps[3][i]);
          }
          return;
        }
        block.FindWeights();
        block.FindPixels(0, height, width);
        for (int64_t i = 0; i < block.count; ++i, value += channels) {
          const auto [a, b, c, d] = block.Taps(i, pixels, channels, zeros);
          const auto [wa, wb, wc, wd] = block.weights[i];
#pragma omp simd simdlen(8)
          for (int64_t k = 0; k < channels; ++k) {
            value[k] = wa * a[k] + wb * b[k] + wc * c[k] + wd * d[k];
          }
        }
      });
    });
  });
}

constexpr int64_t kMostCells = 65536;  // They should fit a cache.

// Adds the values at the points of one image to its rows from `top` to before `bottom`. Both are of
// one channel.
//
// A cell lies between four pixels, and adds up the four weighted values of the points in it: one
// wide addition, which need not wait for those to neighbours. There are cells in front of the first
// pixel of each axis, and a row and a column more for what is outside.
void AddInCells(const Sampler& sampler, int64_t image, const float* values, int32_t top,
                int32_t bottom, float* pixels) {
  const int32_t width = sampler.x.size, columns = width + 2, rows = bottom - top + 2;
  std::vector<float> cells(int64_t{4} * rows * columns);
  sampler.ForBlocks(image * sampler.points, (image + 1) * sampler.points, [&](Block& block) {
    int32_t cell[kBlock];
    const float* value = values + block.begin;
    block.FindWeights();
#pragma omp simd simdlen(8)
    for (int64_t i = 0; i < block.count; ++i) {
      const int32_t row = block.y.first[i] - top + 2, column = block.x.first[i] + 2;
      cell[i] = IsIn(row, 1, rows) & IsIn(column, 1, columns) ? row * columns + column : 0;
    }
    for (int64_t i = 0; i < block.count; ++i) {
      float* sum = cells.data() + int64_t{4} * cell[i];
      for (int j = 0; j < 4; ++j) sum[j] += block.weights[i][j] * value[i];
    }
  });
  for (int32_t row = top; row < bottom; ++row) {
    float* __restrict pixel = pixels + int64_t{row} * width;
    const float* lower = cells.data() + int64_t{4} * ((row - top + 2) * columns + 2);
    const float* upper = lower - 4 * columns;
    for (int32_t x = 0; x < width; ++x, lower += 4, upper += 4) {
      pixel[x] = (upper[3 - 4] + upper[2]) + (lower[1 - 4] + lower[0]);
    }
  }
}

// The same for any number of channels.
template <typename Channels>
void AddToPixels(const Sampler& sampler, int64_t image, const float* values, Channels channels,
                 int32_t top, int32_t bottom, float* pixels) {
  const int32_t width = sampler.x.size;
  std::fill(pixels + top * width * channels, pixels + bottom * width * channels, 0.0f);
  sampler.ForBlocks(image * sampler.points, (image + 1) * sampler.points, [&](Block& block) {
    block.FindWeights();
    block.FindPixels(top, bottom, width);
    const float* value = values + block.begin * channels;
    for (int64_t i = 0; i < block.count; ++i, value += channels) {
      for (int j = 0; j < 4; ++j) {
        if (block.pixels[i][j] < 0) continue;
        float* __restrict pixel = pixels + block.pixels[i][j] * channels;
        const float weight = block.weights[i][j];
#pragma omp simd simdlen(8)
        for (int64_t k = 0; k < channels; ++k) pixel[k] += weight * value[k];
      }
    }
  });
}

ffi::Future ReadTranspose(ffi::ThreadPool threads, Floats values, Floats grid,
                          ffi::Result<Floats> image, int64_t height, int64_t width, int64_t padding,
                          int64_t align_corners) {
  const Sampler sampler(grid, height, width, padding, align_corners);
  const float* from = values.typed_data();
  float* to = image->typed_data();
  // Few images are cut into bands of rows: each passes over all points, and adds up its own rows.
  const int64_t wanted = threads.num_threads() / std::max<int64_t>(sampler.images, 1);
  const int64_t bands = std::min(height, std::max<int64_t>(wanted, 1));
  return WithChannels(values.dimensions().back(), [=](auto channels) {
    const int64_t work = (sampler.points + height * width / bands) * (channels + 4);
    return InParallel(threads, sampler.images * bands, work, [=](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) {
        const int64_t image = part / bands, band = part % bands;
        const int32_t top = band * height / bands, bottom = (band + 1) * height / bands;
        float* pixels = to + image * height * width * channels;
        if (channels == 1 && height * width <= kMostCells) {
          AddInCells(sampler, image, from, top, bottom, pixels);
        } else {
          AddToPixels(sampler, image, from, channels, top, bottom, pixels);
        }
      }
    });
  });
}

ffi::Future ShiftTranspose(ffi::ThreadPool threads, Floats values, Floats image, Floats grid,
                           ffi::Result<Floats> shift, int64_t height, int64_t width,
                           int64_t padding, int64_t align_corners) {
  const Sampler sampler(grid, height, width, padding, align_corners);
  const float* from = values.typed_data();
  const float* images = image.typed_data();
  float* to = shift->typed_data();
  return WithChannels(values.dimensions().back(), [=](auto channels) {
    const int64_t count = sampler.images * sampler.points, step = height * width * channels;
    return InParallel(threads, count, channels + 4, [=](int64_t first, int64_t last) {
      const std::vector<float> zeros(channels);
      sampler.template ForBlocks<true>(first, last, [&](Block& block) {
        const float* pixels = images + block.image * step;
        const float* value = from + block.begin * channels;
        float dots[4][kBlock];  // Of each tap with the value.
        if (channels == 1 && width > 1) {
          ReadTaps(block, pixels, height, width, dots);
          for (auto& dot : dots) {
#pragma omp simd simdlen(8)
            for (int64_t i = 0; i < block.count; ++i) dot[i] *= value[i];
          }
        } else {
          block.FindPixels(0, height, width);
          for (int64_t i = 0; i < block.count; ++i, value += channels) {
            const auto taps = block.Taps(i, pixels, channels, zeros);
            Eight as{}, bs{}, cs{}, ds{};
            int64_t k = 0;
            for (; k + 8 <= channels; k += 8) {
              const Eight values = Load(value + k);
              as += values * Load(taps[0] + k);
              bs += values * Load(taps[1] + k);
              cs += values * Load(taps[2] + k);
              ds += values * Load(taps[3] + k);
            }
            float a = Sum(as), b = Sum(bs), c = Sum(cs), d = Sum(ds);
            for (; k < channels; ++k) {
              a += value[k] * taps[0][k];
              b += value[k] * taps[1][k];
              c += value[k] * taps[2][k];
              d += value[k] * taps[3][k];
            }
            dots[0][i] = a, dots[1][i] = b, dots[2][i] = c, dots[3][i] = d;
          }
        }
        float* __restrict moves = to + 2 * block.begin;
#pragma omp simd simdlen(8)
        for (int64_t i = 0; i < block.count; ++i) {
          const float a = dots[0][i], b = dots[1][i], c = dots[2][i], d = dots[3][i];
          const float u = block.x.t[i], v = block.y.t[i];
          const float by_x = block.x.slope[i], by_y = block.y.slope[i];
          const float along_x = (1 - v) * (b - a) + v * (d - c);
          const float along_y = (1 - u) * (c - a) + u * (d - b);
          moves[2 * i] = by_x ? by_x * along_x : 0;
          moves[2 * i + 1] = by_y ? by_y * along_y : 0;
        }
      });
    });
  });
}

#define BIND() ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
#define INTEGER(name) Attr<int64_t>(name)
#define PARAMS() \
  INTEGER("height").INTEGER("width").INTEGER("padding").INTEGER("align_corners")

XLA_FFI_DEFINE_HANDLER_SYMBOL(bilinear_read, Read,
                              BIND().Arg<Floats>().Arg<Floats>().Ret<Floats>().PARAMS());
XLA_FFI_DEFINE_HANDLER_SYMBOL(bilinear_read_transpose, ReadTranspose,
                              BIND().Arg<Floats>().Arg<Floats>().Ret<Floats>().PARAMS());
XLA_FFI_DEFINE_HANDLER_SYMBOL(bilinear_shift_transpose, ShiftTranspose,
                              BIND().Arg<Floats>().Arg<Floats>().Arg<Floats>().Ret<Floats>()
                                  .PARAMS());
