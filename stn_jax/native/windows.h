// The pixels that each point reads, for any kernel and any number of axes. The same in JAX:
// stn_jax/sampling/windows.py.

#ifndef STN_JAX_WINDOWS_H_
#define STN_JAX_WINDOWS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "points.h"

constexpr int kMostTaps = 6;

// A sampling kernel, the same along all axes.
struct Kernel {
  // Computes the weights of the taps and, with `with_slopes`, their derivatives with respect to t,
  // given t of `Place`. The arrays are [taps][kBlock].
  template <bool with_slopes>
  void Weigh(const float* t, int64_t count, float (*weights)[kBlock],
             float (*slopes)[kBlock]) const {
    if (is_cubic) return Cubic<with_slopes>(t, count, weights, slopes);
    // The recursion of Cox and de Boor, from which the derivatives follow, too.
    for (int64_t i = 0; i < count; ++i) weights[0][i] = 1;
    if (with_slopes && taps == 1) std::fill_n(slopes[0], count, 0.0f);
    for (int k = 1; k < taps; ++k) {
      const float scale = 1.0f / k;
      if (with_slopes && k == taps - 1) {
        for (int j = 0; j <= k; ++j) {
#pragma omp simd simdlen(16)
          for (int64_t i = 0; i < count; ++i) {
            slopes[j][i] = (j > 0 ? weights[j - 1][i] : 0) - (j < k ? weights[j][i] : 0);
          }
        }
      }
      for (int j = k; j >= 0; --j) {
#pragma omp simd simdlen(16)
        for (int64_t i = 0; i < count; ++i) {
          const float rising = j > 0 ? (t[i] + (k - j)) * weights[j - 1][i] : 0;
          const float falling = j < k ? (j + 1 - t[i]) * weights[j][i] : 0;
          weights[j][i] = scale * (rising + falling);
        }
      }
    }
  }

  int taps;
  bool is_cubic;
  float cubic_a;

 private:
  template <bool with_slopes>
  void Cubic(const float* t, int64_t count, float (*weights)[kBlock],
             float (*slopes)[kBlock]) const {
    const float a = cubic_a;
    auto near = [a](float d) { return ((a + 2) * d - (a + 3)) * d * d + 1; };
    auto far = [a](float d) { return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a; };
    auto near_slope = [a](float d) { return (3 * (a + 2) * d - 2 * (a + 3)) * d; };
    auto far_slope = [a](float d) { return (3 * a * d - 10 * a) * d + 8 * a; };
#pragma omp simd simdlen(16)
    for (int64_t i = 0; i < count; ++i) {
      const float u = t[i];
      weights[0][i] = far(1 + u), weights[1][i] = near(u);
      weights[2][i] = near(1 - u), weights[3][i] = far(2 - u);
      if (!with_slopes) continue;
      slopes[0][i] = far_slope(1 + u), slopes[1][i] = near_slope(u);
      slopes[2][i] = -near_slope(1 - u), slopes[3][i] = -far_slope(2 - u);
    }
  }
};

// The windows of a block of points, along each axis of the image. With `with_slopes`, also the
// derivatives.
template <int axes, bool with_slopes = false>
struct Windows {
  Windows(const Sampler& sampler, const Kernel& kernel, const Block& block) {
    const float* grid = sampler.grid + axes * block.begin;
    const int64_t count = block.count;
    const float lead = kernel.taps % 2 ? 0.5f : 0.0f;
    float t[kBlock];
    for (int axis = 0; axis < axes; ++axis) {
      const Axis along = sampler.axes[axis];
      const float* coordinate = grid + axes - 1 - axis;
      int32_t* to = first[axis];
      float* by = slope[axis];
      WithPadding(sampler.padding, [&](auto padding) {
        if (kernel.taps == 1) {
#pragma omp simd simdlen(16)
          for (int64_t i = 0; i < count; ++i) {
            to[i] = along.Nearest<padding>(coordinate[axes * i]);
            if (with_slopes) by[i] = 0;
          }
          return;
        }
        const int32_t before = (kernel.taps - 1) / 2;
#pragma omp simd simdlen(16)
        for (int64_t i = 0; i < count; ++i) {
          const Place place = along.Find<padding>(coordinate[axes * i], 4, lead);
          to[i] = place.first - before;
          t[i] = place.t;
          if (with_slopes) by[i] = place.slope;
        }
      });
      kernel.Weigh<with_slopes>(t, count, weights[axis], slopes[axis]);
    }
  }

  int32_t first[axes][kBlock];  // The first tap.
  float weights[axes][kMostTaps][kBlock];
  float slopes[axes][kMostTaps][kBlock];  // Derivatives of the weights with respect to t,
  float slope[axes][kBlock];              // and of t with respect to the coordinate.
};

// The number of taps: a compile-time constant, or any if `fixed` is 0.
template <int fixed>
constexpr int Taps(const Kernel& kernel) {
  return fixed ? fixed : kernel.taps;
}

constexpr int Power(int base, int exponent) { return exponent ? base * Power(base, exponent - 1) : 1; }

// The pixels of one window, in lines along the last axis, each with all channels.
template <int axes, int taps>
class Lines {
 public:
  Lines(const Sampler& sampler, const Kernel& kernel, int64_t channels)
      : sampler_(sampler), kernel_(kernel), channels_(channels) {
    int64_t stride = channels;
    for (int axis = axes - 1; axis >= 0; --axis) {
      strides_[axis] = stride;
      stride *= sampler.axes[axis].size;
    }
    step = stride;
  }

  // The number of lines.
  int Count() const { return Power(Along(), axes - 1); }

  // Finds where the windows of a block start in an image, or -1 where they are not within it.
  template <bool slopes>
  void Find(const Windows<axes, slopes>& windows, int64_t number, int64_t* starts) const {
    for (int axis = 0; axis < axes; ++axis) {
      const int32_t* first = windows.first[axis];
      const int32_t end = std::max(sampler_.axes[axis].size - Along() + 1, 0);
      const int64_t stride = strides_[axis];
#pragma omp simd simdlen(16)
      for (int64_t i = 0; i < number; ++i) {
        const int64_t before = axis ? starts[i] : 0;
        starts[i] = (before >= 0) & IsIn(first[i], 0, end) ? before + first[i] * stride : -1;
      }
    }
  }

  // Where a line starts, after the start of its window.
  int64_t Offset(int line) const {
    int64_t at = 0;
    for (int axis = axes - 2, rest = line; axis >= 0; --axis, rest /= Along()) {
      at += rest % Along() * strides_[axis];
    }
    return at;
  }

  // Calls body(line, tap, start) for the pixels in the image that point i reads.
  template <bool slopes, typename Body>
  void ForPixels(const Windows<axes, slopes>& windows, int64_t i, Body body) const {
    int32_t pixels[axes][kMostTaps];
    for (int axis = 0; axis < axes; ++axis) {
      for (int tap = 0; tap < Along(); ++tap) {
        pixels[axis][tap] =
            sampler_.axes[axis].Pixel(windows.first[axis][i] + tap, sampler_.padding);
      }
    }
    for (int line = 0; line < Count(); ++line) {
      int64_t at = 0;
      bool inside = true;
      for (int axis = axes - 2, rest = line; axis >= 0; --axis, rest /= Along()) {
        const int32_t pixel = pixels[axis][rest % Along()];
        inside &= pixel >= 0;
        at += pixel * strides_[axis];
      }
      if (!inside) continue;
      for (int tap = 0; tap < Along(); ++tap) {
        const int32_t pixel = pixels[axes - 1][tap];
        if (pixel >= 0) body(line, tap, at + pixel * channels_);
      }
    }
  }

  // The product of the weights of a line along all axes but the last. Instead of those along `by`,
  // the derivatives count.
  template <bool slopes>
  float Weight(const Windows<axes, slopes>& windows, int64_t i, int line, int by = -1) const {
    float weight = 1;
    for (int axis = axes - 2, rest = line; axis >= 0; --axis, rest /= Along()) {
      const auto& factors = axis == by ? windows.slopes[axis] : windows.weights[axis];
      weight *= factors[rest % Along()][i];
    }
    return weight;
  }

  int64_t step;  // Numbers in an image.

 private:
  int Along() const { return Taps<taps>(kernel_); }

  const Sampler& sampler_;
  const Kernel& kernel_;
  const int64_t channels_;
  int64_t strides_[axes];
};

#endif  // STN_JAX_WINDOWS_H_
