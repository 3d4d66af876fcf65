// From normalised coordinates to pixels along one axis, in float32. The same in JAX:
// stn_jax/sampling/coordinates.py and stn_jax/sampling/windows.py.
//
// None of this branches on coordinates, so compilers can vectorise loops that use it.

#ifndef STN_JAX_COORDINATES_H_
#define STN_JAX_COORDINATES_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

// What lies outside the image; the values are indices into PADDINGS in coordinates.py.
enum Padding : int64_t { kZeros, kBorder, kReflection };

// Returns whether begin <= i < end. As unsigned numbers, differences below 0 are huge, so one
// comparison is enough.
inline bool IsIn(int32_t i, int32_t begin, int32_t end) {
  return static_cast<uint32_t>(i - begin) < static_cast<uint32_t>(end - begin);
}

// Where a point lies along one axis. It reads two neighbouring pixels, its taps: `first` with
// weight 1 - t, and `first + 1` with weight t.
struct Place {
  int32_t first;  // -1..size-1; -2 or size where both taps are outside the image.
  float t;        // The distance from `first` in pixels, 0..1.
  float slope;    // The derivative of t with respect to the coordinate.
};

// One axis of an image: position in pixels = (coordinate + 1) * half - offset.
struct Axis {
  Axis(int64_t size, int64_t align_corners)
      : size(size),
        half(align_corners ? (size - 1) / 2.0f : size / 2.0f),
        offset(align_corners ? 0.0f : 0.5f) {}

  // The padding is a template parameter, so that the code does not branch on it.
  template <Padding padding>
  Place Locate(float coordinate) const {
    constexpr float kHuge = 1 / std::numeric_limits<float>::epsilon();
    const float size = this->size;
    const float position = (coordinate + 1) * half - offset;
    // The position, clamped to what int32_t can hold. Comparisons with NaN are false, so NaN
    // becomes 0 under reflection, and otherwise -2, which is outside.
    float clamped;
    if (padding == kReflection) {
      clamped = std::fabs(position) < kHuge ? position : 0;
    } else {
      clamped = position > -2 ? position : -2;
      clamped = clamped < size ? clamped : size;
    }
    float first = std::floor(clamped);
    float t = clamped - first;
    float slope = clamped == position ? half : 0;  // A clamped position is constant.
    if (padding == kReflection) {
      // Twice the distance between the mirrors. That is 0 for a single pixel with align_corners,
      // where the lower limit avoids a division by 0.
      const float period = std::max(4 * half, 2.0f);
      // Mirrors the point half-way between the taps, because at a mirror both taps are the same
      // pixel. `middle` is its distance from the first mirror. All numbers here are multiples of
      // 1/2, so the remainder is exact; only the rounded quotient can be off by one.
      const float middle = first + 0.5f + offset, distance = std::fabs(middle);
      float rest = distance - period * std::floor(distance / period);
      rest = rest < 0 ? rest + period : rest;
      rest = rest < period ? rest : rest - period;
      // `returns`: the point lies on the way back from the second mirror. `turned`: the mirrors
      // have reversed the axis, so that the taps swap their weights.
      const bool returns = rest > period / 2, turned = returns != (middle < 0);
      first = std::floor((returns ? period - rest : rest) - offset);
      t = turned ? 1 - t : t;
      slope = turned ? -slope : slope;
    }
    if (padding != kZeros) {
      // Past the border both taps should read the border pixel. Giving all the weight to the tap
      // inside the image has the same result.
      const bool before = first < 0, behind = first > size - 2;
      first = before ? -1 : behind ? size - 1 : first;
      t = behind ? 0 : before ? 1 : t;
      slope = before || behind ? 0 : slope;
    }
    return {static_cast<int32_t>(first), t, slope};
  }

  int32_t size;  // In pixels.
  float half, offset;
};

// Calls body with the padding as a compile-time constant.
template <typename Body>
void WithPadding(Padding padding, Body body) {
  switch (padding) {
    case kZeros: return body(std::integral_constant<Padding, kZeros>());
    case kBorder: return body(std::integral_constant<Padding, kBorder>());
    case kReflection: return body(std::integral_constant<Padding, kReflection>());
  }
}

#endif  // STN_JAX_COORDINATES_H_
