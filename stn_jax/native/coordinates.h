// From normalised coordinates to pixels along one axis, for float32: see stn_jax/coordinates.py.

#ifndef STN_JAX_COORDINATES_H_
#define STN_JAX_COORDINATES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

constexpr int64_t kBlock = 128;

enum Padding : int64_t { kZeros, kBorder, kReflection };  // In the order of PADDINGS.

// One comparison, without branches: compilers vectorise it.
inline bool IsIn(int32_t i, int32_t begin, int32_t end) {
  return static_cast<uint32_t>(i - begin) < static_cast<uint32_t>(end - begin);
}

// Where the points of a block lie along one axis.
struct Places {
  int32_t first[kBlock];  // The pixel in front, -1..size-1; -2 or size where both taps are outside.
  float t[kBlock];        // How far the point is past it.
  float slope[kBlock];    // The derivative of t to the coordinate, if it is wanted.
};

struct Axis {
  Axis(int64_t size, int64_t padding, int64_t align_corners)
      : size(size),
        padding(static_cast<Padding>(padding)),
        half(align_corners ? (size - 1) / 2.0f : size / 2.0f),
        offset(align_corners ? 0.0f : 0.5f) {}

  // The coordinates along this axis are `grid` at every second place.
  template <bool slopes>
  void Locate(const float* grid, int64_t count, Places& places) const {
    switch (padding) {
      case kZeros: return Locate<slopes, kZeros>(grid, count, places);
      case kBorder: return Locate<slopes, kBorder>(grid, count, places);
      case kReflection: return Locate<slopes, kReflection>(grid, count, places);
    }
  }

  template <bool slopes, Padding padding>
  void Locate(const float* grid, int64_t count, Places& places) const {
    constexpr float kHuge = 1 / std::numeric_limits<float>::epsilon();
    const float size = this->size, half = this->half, offset = this->offset;
    const float period = std::max(4 * half, 2.0f);  // To one mirror, and back to the other.
#pragma omp simd simdlen(8)
    for (int64_t i = 0; i < count; ++i) {
      const float position = (grid[2 * i] + 1) * half - offset;
      float tame;  // Comparisons with NaN are false.
      if (padding == kReflection) {
        tame = std::fabs(position) < kHuge ? position : 0;
      } else {
        tame = position > -2 ? position : -2;
        tame = tame < size ? tame : size;
      }
      float first = std::floor(tame);
      float t = tame - first;
      float slope = tame == position ? half : 0;
      if (padding == kReflection) {
        // The middle of the two taps is mirrored. The remainder is exact: all are whole numbers.
        const float middle = first + 0.5f + offset, distance = std::fabs(middle);
        float rest = distance - period * std::floor(distance / period);
        rest = rest < 0 ? rest + period : rest;
        rest = rest < period ? rest : rest - period;
        const bool returns = rest > period / 2, turned = returns != (middle < 0);
        first = std::floor((returns ? period - rest : rest) - offset);
        t = turned ? 1 - t : t;
        slope = turned ? -slope : slope;
      }
      if (padding != kZeros) {
        // Past the border both taps are the border pixel: all the weight goes to the one inside.
        const bool before = first < 0, behind = first > size - 2;
        first = before ? -1 : behind ? size - 1 : first;
        t = behind ? 0 : before ? 1 : t;
        slope = before || behind ? 0 : slope;
      }
      places.first[i] = static_cast<int32_t>(first);
      places.t[i] = t;
      if (slopes) places.slope[i] = slope;
    }
  }

  int32_t size;
  Padding padding;
  float half, offset;
};

#endif  // STN_JAX_COORDINATES_H_
