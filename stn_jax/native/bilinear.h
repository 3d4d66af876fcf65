// Bilinear interpolation in two dimensions and its transposes: the fast form of what sampling.cc
// computes, for all paddings but kWrap.
//
// Each point mixes four pixels, its taps. A tap outside the image is 0. Points are processed in
// blocks: loops over a block compute where the points lie, and compilers vectorise these loops. The
// pixels are then read point by point.

#ifndef STN_JAX_BILINEAR_H_
#define STN_JAX_BILINEAR_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "parallel.h"
#include "points.h"

namespace bilinear {

// image, grid -> values.
inline void Read(ffi::ThreadPool threads, const Sampler& sampler, int64_t number_of_channels,
                 const float* images, float* to) {
  const int32_t height = sampler.axes[0].size, width = sampler.axes[1].size;
  WithChannels(number_of_channels, [=, &sampler](auto channels) {
    const int64_t count = sampler.images * sampler.points;
    const int64_t step = int64_t{height} * width * channels;
    InParallel(threads, count, channels + 4, [=, &sampler](int64_t first, int64_t last) {
      // With one channel, the sum is a vectorised loop over points, otherwise one over channels.
      if (channels == 1) {
        SingleTaps taps(sampler, images);
        ForBlocks(sampler, first, last, [&](const Block& block) {
          const Places<> at(sampler, block);
          float upper[kBlock][2], lower[kBlock][2];
          taps.Read(at, block.image, upper, lower);
          float* __restrict value = to + block.begin;
#pragma omp simd simdlen(16)
          for (int64_t i = 0; i < block.count; ++i) {
            const float u = at.u[i], v = at.v[i];
            value[i] = (1 - v) * ((1 - u) * upper[i][0] + u * upper[i][1]) +
                       v * ((1 - u) * lower[i][0] + u * lower[i][1]);
          }
        });
        return;
      }
      const std::vector<float> zeros(channels);
      ForBlocks(sampler, first, last, [&](const Block& block) {
        const Places<> at(sampler, block);
        const Taps taps(at, 0, height, width);
        const Weights mix(at);
        float* __restrict value = to + block.begin * channels;
        for (int64_t i = 0; i < block.count; ++i, value += channels) {
          const auto [a, b, c, d] = taps.Of(i, images + block.image * step, channels, zeros);
          const auto [wa, wb, wc, wd] = mix.weights[i];
#pragma omp simd simdlen(8)
          for (int64_t k = 0; k < channels; ++k) {
            value[k] = wa * a[k] + wb * b[k] + wc * c[k] + wd * d[k];
          }
        }
      });
    });
  });
}

constexpr int64_t kMostCells = 65536;  // So that they fit in a cache.

// Adds the values at the points of one image to the rows top..bottom-1 of `pixels`. Values and
// pixels have one channel.
//
// A cell lies between four pixels. It sums up, for each of the four, the weighted values of the
// points in the cell. Adding a point is one addition of four floats, which need not wait for the
// additions to neighbouring cells.
//
// `cells` is [bottom - top + 2, width + 2, 4]. The cell at [r, c] is the one whose upper left pixel
// has row top + r - 2 and column c - 2. So there are cells in front of the first row and column
// (r = 1, c = 1). The first cell of all takes the points that touch none of the pixels.
inline void AddInCells(const Sampler& sampler, int64_t image, const float* values, int32_t top,
                int32_t bottom, float* pixels) {
  const int32_t width = sampler.axes[1].size, columns = width + 2, rows = bottom - top + 2;
  std::vector<float> cells(int64_t{4} * rows * columns);
  ForBlocks(sampler, image, [&](const Block& block) {
    const Places<> at(sampler, block);
    const Weights mix(at);
    int32_t cell[kBlock];
    const float* value = values + block.begin;
#pragma omp simd simdlen(16)
    for (int64_t i = 0; i < block.count; ++i) {
      const int32_t row = at.row[i] - top + 2, column = at.column[i] + 2;
      cell[i] = IsIn(row, 1, rows) & IsIn(column, 1, columns) ? row * columns + column : 0;
    }
    for (int64_t i = 0; i < block.count; ++i) {
      float* sum = cells.data() + int64_t{4} * cell[i];
      for (int j = 0; j < 4; ++j) sum[j] += mix.weights[i][j] * value[i];
    }
  });
  // Each pixel is a corner of four cells: it is the lower right pixel of the one above and to the
  // left of it, and so on.
  for (int32_t row = top; row < bottom; ++row) {
    float* __restrict pixel = pixels + int64_t{row} * width;
    const float* lower = cells.data() + int64_t{4} * ((row - top + 2) * columns + 2);
    const float* upper = lower - 4 * columns;
    for (int32_t x = 0; x < width; ++x, lower += 4, upper += 4) {
      pixel[x] = (upper[3 - 4] + upper[2]) + (lower[1 - 4] + lower[0]);
    }
  }
}

// Does the same for any number of channels, without cells.
template <typename Channels>
void AddToPixels(const Sampler& sampler, int64_t image, const float* values, Channels channels,
                 int32_t top, int32_t bottom, float* pixels) {
  const int32_t width = sampler.axes[1].size;
  std::fill(pixels + top * width * channels, pixels + bottom * width * channels, 0.0f);
  ForBlocks(sampler, image, [&](const Block& block) {
    const Places<> at(sampler, block);
    const Taps taps(at, top, bottom, width);
    const Weights mix(at);
    const float* value = values + block.begin * channels;
    for (int64_t i = 0; i < block.count; ++i, value += channels) {
      for (int j = 0; j < 4; ++j) {
        if (taps.pixels[i][j] < 0) continue;
        float* __restrict pixel = pixels + taps.pixels[i][j] * channels;
        const float weight = mix.weights[i][j];
#pragma omp simd simdlen(8)
        for (int64_t k = 0; k < channels; ++k) pixel[k] += weight * value[k];
      }
    }
  });
}

// values, grid -> image.
inline void ReadTranspose(ffi::ThreadPool threads, const Sampler& sampler,
                          int64_t number_of_channels, const float* from, float* to) {
  const int64_t size = sampler.Pixels();
  WithChannels(number_of_channels, [=, &sampler](auto channels) {
    ForBands(threads, sampler, channels, channels + 4, [=, &sampler](const Band& band) {
      float* pixels = to + band.image * size * channels;
      if (channels == 1 && size <= kMostCells) {
        AddInCells(sampler, band.image, from, band.top, band.bottom, pixels);
      } else {
        AddToPixels(sampler, band.image, from, channels, band.top, band.bottom, pixels);
      }
    });
  });
}

// values, image, grid -> shift, the gradient with respect to the grid.
inline void ShiftTranspose(ffi::ThreadPool threads, const Sampler& sampler,
                           int64_t number_of_channels, const float* from, const float* images,
                           float* to) {
  const int32_t height = sampler.axes[0].size, width = sampler.axes[1].size;
  WithChannels(number_of_channels, [=, &sampler](auto channels) {
    const int64_t count = sampler.images * sampler.points;
    const int64_t step = int64_t{height} * width * channels;
    InParallel(threads, count, channels + 4, [=, &sampler](int64_t first, int64_t last) {
      std::optional<SingleTaps> single;
      if (channels == 1) single.emplace(sampler, images);
      const std::vector<float> zeros(channels);
      // Takes parts from the end: what the forward pass read last may still be in a cache.
      ForBlocks(sampler, count - last, count - first, [&](const Block& block) {
        const Places<true> at(sampler, block);
        const float* values = from + block.begin * channels;
        float* __restrict moves = to + 2 * block.begin;
        // With one channel, the taps, otherwise their dot products with the value.
        float upper[kBlock][2], lower[kBlock][2];
        if (single) {
          single->Read(at, block.image, upper, lower);
        } else {
          const Taps taps(at, 0, height, width);
          const float* value = values;
          for (int64_t i = 0; i < block.count; ++i, value += channels) {
            const auto tap = taps.Of(i, images + block.image * step, channels, zeros);
            Eight as{}, bs{}, cs{}, ds{};
            int64_t k = 0;  // Eight channels at a time, then the rest one by one.
            for (; k + 8 <= channels; k += 8) {
              const Eight eight = Load(value + k);
              as += eight * Load(tap[0] + k);
              bs += eight * Load(tap[1] + k);
              cs += eight * Load(tap[2] + k);
              ds += eight * Load(tap[3] + k);
            }
            float a = Sum(as), b = Sum(bs), c = Sum(cs), d = Sum(ds);
            for (; k < channels; ++k) {
              a += value[k] * tap[0][k];
              b += value[k] * tap[1][k];
              c += value[k] * tap[2][k];
              d += value[k] * tap[3][k];
            }
            upper[i][0] = a, upper[i][1] = b, lower[i][0] = c, lower[i][1] = d;
          }
        }
#pragma omp simd simdlen(16)
        for (int64_t i = 0; i < block.count; ++i) {
          const float a = upper[i][0], b = upper[i][1], c = lower[i][0], d = lower[i][1];
          const float u = at.u[i], v = at.v[i], by_x = at.by_x[i], by_y = at.by_y[i];
          const float value = channels == 1 ? values[i] : 1;
          const float along_x = value * ((1 - v) * (b - a) + v * (d - c));
          const float along_y = value * ((1 - u) * (c - a) + u * (d - b));
          // A slope of 0 means no gradient, even if the pixels are infinite or NaN.
          moves[2 * i] = by_x ? by_x * along_x : 0;
          moves[2 * i + 1] = by_y ? by_y * along_y : 0;
        }
      });
    });
  });
}

}  // namespace bilinear

#endif  // STN_JAX_BILINEAR_H_
