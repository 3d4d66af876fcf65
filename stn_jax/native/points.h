// The points of a sampling grid, block by block: where they lie, which pixels they read, and with
// which weights, for bilinear.h.

#ifndef STN_JAX_POINTS_H_
#define STN_JAX_POINTS_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <type_traits>
#include <vector>

#include "coordinates.h"
#include "parallel.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

using Floats = ffi::Buffer<ffi::F32>;

// The grid, and the parameters that all kernels share.
struct Sampler {
  const float* grid;        // [images, points, axes], the last axis of the image first.
  int64_t images, points;   // `points` per image.
  Padding padding;
  std::vector<Axis> axes;   // Those of the image.

  // The number of pixels of an image.
  int64_t Pixels() const {
    int64_t pixels = 1;
    for (const Axis& axis : axes) pixels *= axis.size;
    return pixels;
  }
};

constexpr int64_t kBlock = 128;

// At most kBlock points of one image.
struct Block {
  int64_t image, begin, count;  // `begin` is the first point, counted through all images.
};

// Calls body(block) for the points first..last-1, counted through all images.
template <typename Body>
void ForBlocks(const Sampler& sampler, int64_t first, int64_t last, Body body) {
  while (first < last) {
    const int64_t image = first / sampler.points;
    const int64_t count = std::min({kBlock, last - first, (image + 1) * sampler.points - first});
    body(Block{image, first, count});
    first += count;
  }
}

// Calls body(block) for all points of one image.
template <typename Body>
void ForBlocks(const Sampler& sampler, int64_t image, Body body) {
  ForBlocks(sampler, image * sampler.points, (image + 1) * sampler.points, body);
}

// A part of one image along its first axis.
struct Band {
  int64_t image;
  int32_t top, bottom;  // Along the first axis,
  int64_t begin, end;   // and as numbers of pixels.
};

// Calls body(band) in parallel, for bands that make up all images. The work for each point is that
// of reading or writing all its pixels.
//
// If there are few images for the threads, each is split, unless it has only one axis. The work on
// a band visits all points of the image, but should write only to the pixels of the band. Then no
// two threads write to the same pixel, and the sums do not depend on the bands.
template <typename Body>
void ForBands(ffi::ThreadPool threads, const Sampler& sampler, int64_t channels, int64_t work_each,
              Body body) {
  const int64_t size = sampler.axes[0].size, plane = sampler.Pixels() / size;
  const int64_t wanted = threads.num_threads() / std::max<int64_t>(sampler.images, 1);
  const int64_t most = sampler.axes.size() == 1 ? 1 : size;
  const int64_t bands = std::min(most, std::max<int64_t>(wanted, 1));
  const int64_t work = sampler.Pixels() * channels / bands + sampler.points * work_each;
  InParallel(threads, sampler.images * bands, work, [=](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      const int64_t band = part % bands;
      const int32_t top = band * size / bands, bottom = (band + 1) * size / bands;
      body(Band{part / bands, top, bottom, top * plane, bottom * plane});
    }
  });
}

// Where the points of a block lie. With `slopes`, also the derivatives of u and v.
template <bool slopes = false>
struct Places {
  Places(const Sampler& sampler, const Block& block) : count(block.count) {
    const float* grid = sampler.grid + 2 * block.begin;
    const Axis axis_x = sampler.axes[1], axis_y = sampler.axes[0];
    WithPadding(sampler.padding, [&](auto padding) {
#pragma omp simd simdlen(16)
      for (int64_t i = 0; i < count; ++i) {
        const Place x = axis_x.Locate<padding>(grid[2 * i]);
        const Place y = axis_y.Locate<padding>(grid[2 * i + 1]);
        column[i] = x.first, row[i] = y.first;
        u[i] = x.t, v[i] = y.t;
        if (slopes) by_x[i] = x.slope, by_y[i] = y.slope;
      }
    });
  }

  int64_t count;
  int32_t column[kBlock], row[kBlock];  // The upper left tap.
  float u[kBlock], v[kBlock];           // The distance from it to the right and down, in pixels.
  float by_x[kBlock], by_y[kBlock];     // The derivatives du/dx and dv/dy.
};

// The taps of a block: upper left, upper right, lower left and lower right.
struct Taps {
  // Finds the index of each tap in the image, or -1 outside the rows top..bottom-1 or the columns.
  // The operator & is used instead of &&, which would branch.
  template <bool slopes>
  Taps(const Places<slopes>& at, int32_t top, int32_t bottom, int32_t width) {
#pragma omp simd simdlen(16)
    for (int64_t i = 0; i < at.count; ++i) {
      const int32_t row = at.row[i], column = at.column[i], pixel = row * width + column;
      const bool upper = IsIn(row, top, bottom), lower = IsIn(row + 1, top, bottom);
      const bool left = IsIn(column, 0, width), right = IsIn(column + 1, 0, width);
      pixels[i][0] = upper & left ? pixel : -1;
      pixels[i][1] = upper & right ? pixel + 1 : -1;
      pixels[i][2] = lower & left ? pixel + width : -1;
      pixels[i][3] = lower & right ? pixel + width + 1 : -1;
    }
  }

  // Returns the taps of point i, each with all channels. For a tap outside, that is `zeros`.
  template <typename Channels>
  std::array<const float*, 4> Of(int64_t i, const float* image, Channels channels,
                                 const std::vector<float>& zeros) const {
    auto at = [&](int64_t pixel) { return pixel < 0 ? zeros.data() : image + pixel * channels; };
    return {at(pixels[i][0]), at(pixels[i][1]), at(pixels[i][2]), at(pixels[i][3])};
  }

  int32_t pixels[kBlock][4];
};

// The weights of the taps of a block, in the order of Taps.
struct Weights {
  explicit Weights(const Places<>& at) {
#pragma omp simd simdlen(16)
    for (int64_t i = 0; i < at.count; ++i) {
      const float u = at.u[i], v = at.v[i];
      weights[i][0] = (1 - v) * (1 - u);
      weights[i][1] = (1 - v) * u;
      weights[i][2] = v * (1 - u);
      weights[i][3] = v * u;
    }
  }

  float weights[kBlock][4];
};

// Reads the taps in images of one channel.
//
// Small images are copied, one at a time, with a frame of zeros around them that is two pixels
// wide. Taps outside the image lie in the frame, so reading needs no test.
class SingleTaps {
 public:
  SingleTaps(const Sampler& sampler, const float* images)
      : height_(sampler.axes[0].size), width_(sampler.axes[1].size), images_(images) {
    const int64_t size = sampler.Pixels();
    if (size > std::min(4 * sampler.points, kMostFramed)) return;  // A copy would not pay.
    frame_.resize((height_ + 4) * (width_ + 4));
  }

  // Reads the taps of a block: upper left and upper right, lower left and lower right.
  template <bool slopes>
  void Read(const Places<slopes>& at, int64_t image, float (&upper)[kBlock][2],
            float (&lower)[kBlock][2]) {
    if (frame_.empty()) {
      ReadImage(at, images_ + image * height_ * width_, upper, lower);
      return;
    }
    Hold(image);
    const int32_t step = width_ + 4;
    int32_t pixel[kBlock];
#pragma omp simd simdlen(16)
    for (int64_t i = 0; i < at.count; ++i) {
      pixel[i] = (at.row[i] + 2) * step + at.column[i] + 2;
    }
    for (int64_t i = 0; i < at.count; ++i) {
      asm volatile("");  // Without it, compilers vectorise the loop, which makes it slower.
      std::memcpy(upper[i], &frame_[pixel[i]], sizeof(upper[i]));
      std::memcpy(lower[i], &frame_[pixel[i] + step], sizeof(lower[i]));
    }
  }

 private:
  static constexpr int64_t kMostFramed = 65536;

  template <bool slopes>
  void ReadImage(const Places<slopes>& at, const float* image, float (&upper)[kBlock][2],
                 float (&lower)[kBlock][2]) const {
    for (int64_t i = 0; i < at.count; ++i) {
      const int32_t row = at.row[i], column = at.column[i];
      const int64_t tap = row * width_ + column;
      if (IsIn(row, 0, height_ - 1) & IsIn(column, 0, width_ - 1)) {
        std::memcpy(upper[i], image + tap, sizeof(upper[i]));
        std::memcpy(lower[i], image + tap + width_, sizeof(lower[i]));
        continue;
      }
      for (int j = 0; j < 2; ++j) {
        const bool inside = IsIn(column + j, 0, width_);
        upper[i][j] = inside & IsIn(row, 0, height_) ? image[tap + j] : 0;
        lower[i][j] = inside & IsIn(row + 1, 0, height_) ? image[tap + width_ + j] : 0;
      }
    }
  }

  // Copies an image into the frame, unless it is there already.
  void Hold(int64_t number) {
    if (number == number_) return;
    number_ = number;
    const float* from = images_ + number * height_ * width_;
    float* __restrict to = &frame_[2 * (width_ + 4) + 2];
    for (int32_t y = 0; y < height_; ++y, from += width_, to += width_ + 4) {
#pragma omp simd simdlen(8)
      for (int32_t x = 0; x < width_; ++x) to[x] = from[x];
    }
  }

  const int64_t height_, width_;
  const float* images_;
  int64_t number_ = -1;       // The image in the frame, if any.
  std::vector<float> frame_;  // [height + 4, width + 4], or empty.
};

// Vectors of floats, anywhere in memory. Compilers turn sums in plain loops into slower code.
typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
typedef float Eight __attribute__((vector_size(32), aligned(4), may_alias));

inline Eight Load(const float* from) { return *reinterpret_cast<const Eight*>(from); }

inline float Sum(Eight x) {
  const Four y = Four{x[0], x[1], x[2], x[3]} + Four{x[4], x[5], x[6], x[7]};
  return (y[0] + y[1]) + (y[2] + y[3]);
}

// Returns the sum of the products of numbers: eight at a time, then the rest one by one.
template <typename Count>
float Dot(const float* a, const float* b, Count count) {
  Eight sums{};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) sums += Load(a + i) * Load(b + i);
  float sum = Sum(sums);
  for (; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

// Calls body with the number of axes as a compile-time constant.
template <typename Body>
void WithAxes(const Sampler& sampler, Body body) {
  switch (sampler.axes.size()) {
    case 1: return body(std::integral_constant<int, 1>());
    case 2: return body(std::integral_constant<int, 2>());
    case 3: return body(std::integral_constant<int, 3>());
  }
}

// Calls body with the number of channels. 1 and 3 are compile-time constants, so that loops over
// channels are unrolled.
template <typename Body>
void WithChannels(int64_t channels, Body body) {
  switch (channels) {
    case 1: return body(std::integral_constant<int64_t, 1>());
    case 3: return body(std::integral_constant<int64_t, 3>());
    default: return body(channels);
  }
}

#endif  // STN_JAX_POINTS_H_
