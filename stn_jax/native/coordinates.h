// From normalised coordinates to pixels along one axis, for float32: see stn_jax/coordinates.py.

#ifndef STN_JAX_COORDINATES_H_
#define STN_JAX_COORDINATES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

enum Padding : int64_t { kZeros, kBorder, kReflection };  // In the order of PADDINGS.

// One comparison, without branches: compilers vectorise it.
inline bool IsIn(int32_t i, int32_t begin, int32_t end) {
  return static_cast<uint32_t>(i - begin) < static_cast<uint32_t>(end - begin);
}

// Where a point lies along one axis.
struct Place {
  int32_t first;  // The pixel in front, -1..size-1; -2 or size where both taps are outside.
  float t;        // How far the point is past it.
  float slope;    // The derivative of t to the coordinate.
};

struct Axis {
  Axis(int64_t size, int64_t align_corners)
      : size(size),
        half(align_corners ? (size - 1) / 2.0f : size / 2.0f),
        offset(align_corners ? 0.0f : 0.5f) {}

  template <Padding padding>
  Place Locate(float coordinate) const {
    constexpr float kHuge = 1 / std::numeric_limits<float>::epsilon();
    const float size = this->size;
    const float position = (coordinate + 1) * half - offset;
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
      const float period = std::max(4 * half, 2.0f);  // To one mirror, and back to the other.
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
    return {static_cast<int32_t>(first), t, slope};
  }

  int32_t size;
  float half, offset;
};

// Calls body with the padding as a constant.
template <typename Body>
void WithPadding(Padding padding, Body body) {
  switch (padding) {
    case kZeros: return body(std::integral_constant<Padding, kZeros>());
    case kBorder: return body(std::integral_constant<Padding, kBorder>());
    case kReflection: return body(std::integral_constant<Padding, kReflection>());
  }
}

#endif  // STN_JAX_COORDINATES_H_
