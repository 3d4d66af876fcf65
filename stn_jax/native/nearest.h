// Nearest sampling and its transpose, in images of one to three axes: the fast form of what
// sampling.cc computes.

#ifndef STN_JAX_NEAREST_H_
#define STN_JAX_NEAREST_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "parallel.h"
#include "points.h"

namespace nearest {

// The pixel of the image that each point of a block reads, or -1 for none.
template <int axes>
struct Pixels {
  Pixels(const Sampler& sampler, const Block& block) {
    const float* grid = sampler.grid + axes * block.begin;
    std::array<Axis, axes> along;  // A copy, so that the loop need not read it again.
    std::copy_n(sampler.axes.begin(), axes, along.begin());
    WithPadding(sampler.padding, [&](auto padding) {
#pragma omp simd simdlen(16)
      for (int64_t i = 0; i < block.count; ++i) {
        int32_t pixel = 0;
        bool inside = true;
        for (int axis = 0; axis < axes; ++axis) {
          const float coordinate = grid[axes * i + axes - 1 - axis];
          const int32_t at = along[axis].template Nearest<padding>(coordinate);
          if (padding == kZeros) inside &= IsIn(at, 0, along[axis].size);
          pixel = pixel * along[axis].size + at;
        }
        of[i] = inside ? pixel : -1;
      }
    });
  }

  int32_t of[kBlock];
};

// Calls body(axes, channels), where the number of axes is a compile-time constant, and that of
// channels as by WithChannels.
template <typename Body>
void WithSizes(const Sampler& sampler, int64_t number_of_channels, Body body) {
  WithAxes(sampler, [=](auto axes) {
    WithChannels(number_of_channels, [=](auto channels) { body(axes, channels); });
  });
}

// image, grid -> values.
inline void Read(ffi::ThreadPool threads, const Sampler& sampler, int64_t number_of_channels,
                 const float* images, float* to) {
  WithSizes(sampler, number_of_channels, [=, &sampler](auto axes, auto channels) {
    const int64_t count = sampler.images * sampler.points, step = sampler.Pixels() * channels;
    InParallel(threads, count, channels + 4, [=, &sampler](int64_t first, int64_t last) {
      ForBlocks(sampler, first, last, [&](const Block& block) {
        const Pixels<axes> pixels(sampler, block);
        const float* image = images + block.image * step;
        float* __restrict value = to + block.begin * channels;
        if (channels == 1) {
#pragma omp simd simdlen(16)
          for (int64_t i = 0; i < block.count; ++i) {
            value[i] = pixels.of[i] < 0 ? 0 : image[pixels.of[i]];
          }
          return;
        }
        for (int64_t i = 0; i < block.count; ++i, value += channels) {
          if (pixels.of[i] < 0) {
            std::fill_n(value, channels, 0.0f);
          } else {
            std::copy_n(image + pixels.of[i] * int64_t{channels}, channels, value);
          }
        }
      });
    });
  });
}

// values, grid -> image.
inline void ReadTranspose(ffi::ThreadPool threads, const Sampler& sampler,
                          int64_t number_of_channels, const float* from, float* to) {
  WithSizes(sampler, number_of_channels, [=, &sampler](auto axes, auto channels) {
    ForBands(threads, sampler, channels, channels + 4, [=, &sampler](const Band& band) {
      float* image = to + band.image * sampler.Pixels() * channels;
      std::fill(image + band.begin * channels, image + band.end * channels, 0.0f);
      ForBlocks(sampler, band.image, [&](const Block& block) {
        const Pixels<axes> pixels(sampler, block);
        const float* value = from + block.begin * channels;
        for (int64_t i = 0; i < block.count; ++i, value += channels) {
          if (!IsIn(pixels.of[i], band.begin, band.end)) continue;
          float* __restrict pixel = image + pixels.of[i] * int64_t{channels};
#pragma omp simd simdlen(8)
          for (int64_t k = 0; k < channels; ++k) pixel[k] += value[k];
        }
      });
    });
  });
}

}  // namespace nearest

#endif  // STN_JAX_NEAREST_H_
