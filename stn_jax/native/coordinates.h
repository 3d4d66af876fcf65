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

// A loop that calls a function cannot be vectorised. Compilers leave calls of functions that they
// find too large.
#define STN_JAX_INLINE [[gnu::always_inline]] inline

// What lies outside the image; the values are indices into PADDINGS in coordinates.py.
enum Padding : int64_t { kZeros, kBorder, kReflection, kWrap };

// Returns whether begin <= i < end. As unsigned numbers, differences below 0 are huge, so one
// comparison is enough.
inline bool IsIn(int32_t i, int32_t begin, int32_t end) {
  return static_cast<uint32_t>(i - begin) < static_cast<uint32_t>(end - begin);
}

// Where a point lies along one axis, between the pixels that a kernel reads, its taps.
struct Place {
  int32_t first;  // The middle tap, or the left one of the two in the middle.
  float t;        // 0..1, the distance from `first`, or half a pixel more with a single middle tap.
  float slope;    // The derivative of t with respect to the coordinate.
};

// One axis of an image: position in pixels = (coordinate + start) * half - offset.
struct Axis {
  Axis() = default;

  Axis(int64_t size, int64_t align_corners, int64_t in_pixels)
      : size(size),
        start(in_pixels ? 0 : 1),
        half(in_pixels ? 1.0f : align_corners ? (size - 1) / 2.0f : size / 2.0f),
        offset(in_pixels || align_corners ? 0.0f : 0.5f),
        period(std::max(align_corners ? 2.0f * (size - 1) : 2.0f * size, 2.0f)),
        mirror(align_corners ? 0.0f : 0.5f) {}

  // The padding is a template parameter, so that the code does not branch on it.
  //
  // Under kZeros and kBorder, `first` is at least -reach and at most size - 2 + reach, even if the
  // coordinate is NaN. `lead` is 0 for an even number of taps, and otherwise 0.5.
  template <Padding padding>
  STN_JAX_INLINE Place Find(float coordinate, float reach, float lead) const {
    const float position = (coordinate + start) * half - offset;
    const float clamped = Clamp<padding>(position, reach);
    float first = std::floor(clamped + lead);
    float t = clamped + lead - first;
    float slope = clamped == position ? half : 0;  // A clamped position is constant.
    if (padding == kReflection) {
      // Mirrors the point half-way between the taps, because at a mirror both taps are the same
      // pixel. All numbers here are multiples of 1/2, so the remainder is exact.
      const Reflected middle = Reflect(first + 0.5f - lead);
      first = std::floor(middle.position);
      t = middle.direction < 0 ? 1 - t : t;
      slope *= middle.direction;
    }
    if (padding == kWrap) first = Wrap(first);
    return {static_cast<int32_t>(first), t, slope};
  }

  // Returns the place of two taps: `first` with weight 1 - t, and `first + 1` with weight t.
  // `first` is in -1..size-1, or it is -2 or size where both taps are outside the image.
  template <Padding padding>
  STN_JAX_INLINE Place Locate(float coordinate) const {
    if (padding == kBorder) {  // The same as below, with fewer operations.
      const float position = (coordinate + start) * half - offset, last = size - 1;
      const float above = position > 0 ? position : 0, clamped = above < last ? above : last;
      const float first = std::floor(clamped);
      const bool inside = (position >= 0) & (position < last);
      return {static_cast<int32_t>(first), clamped - first, inside ? half : 0};
    }
    Place place = Find<padding>(coordinate, 2, 0);
    if (padding != kZeros) {
      // Past the border both taps should read the border pixel. Giving all the weight to the tap
      // inside the image has the same result.
      const bool before = place.first < 0, behind = place.first > size - 2;
      place.first = before ? -1 : behind ? size - 1 : place.first;
      place.t = behind ? 0 : before ? 1 : place.t;
      place.slope = before ? 0 : behind ? 0 : place.slope;
    }
    return place;
  }

  // Returns the nearest pixel; halves round to the even one. It may be outside under kZeros.
  template <Padding padding>
  STN_JAX_INLINE int32_t Nearest(float coordinate) const {
    float position = Clamp<padding>((coordinate + start) * half - offset, 2);
    const float last = size - 1;
    if (padding == kReflection) position = Reflect(position).position;
    if (padding == kWrap) {
      position = std::nearbyint(Wrap(position));
      return static_cast<int32_t>(position > last ? 0 : position);
    }
    if (padding != kZeros) {
      position = position > 0 ? position : 0;
      position = position < last ? position : last;
    }
    return static_cast<int32_t>(std::nearbyint(position));
  }

  // Returns the pixel that is read at `i`, or -1 for none.
  int32_t Pixel(int32_t i, Padding padding) const {
    if (IsIn(i, 0, size)) return i;
    switch (padding) {
      case kZeros: return -1;
      case kBorder: return i < 0 ? 0 : size - 1;
      case kWrap: return static_cast<int32_t>(Wrap(i));
      case kReflection: return static_cast<int32_t>(std::floor(Reflect(i).position));
    }
    return -1;
  }

  int32_t size;  // In pixels.
  float start, half, offset;
  float period, mirror;  // Twice the distance of the mirrors; the first one is at -mirror.

 private:
  struct Reflected {
    float position;
    float direction;  // -1 if the axis is reversed there, otherwise 1. A bool would be slow.
  };

  // Returns the position, limited to what int32_t can hold. Comparisons with NaN are false, so NaN
  // becomes 0 under reflection and wrap, and otherwise a position outside.
  template <Padding padding>
  STN_JAX_INLINE float Clamp(float position, float reach) const {
    constexpr float kHuge = 1 / std::numeric_limits<float>::epsilon();
    if (padding == kReflection || padding == kWrap) {
      const float most = 2.0f * size;
      return std::fabs(position) < (most > kHuge ? most : kHuge) ? position : 0;
    }
    const float last = size - 2 + reach;
    const float above = position > -reach ? position : -reach;
    return above < last ? above : last;
  }

  // The reciprocal is the same for all points, so a product with it is faster than a quotient. Both
  // can be off by one.
  STN_JAX_INLINE static float Remainder(float dividend, float divisor) {
    float rest = dividend - divisor * std::floor(dividend * (1 / divisor));
    rest = rest < 0 ? rest + divisor : rest;
    return rest < divisor ? rest : rest - divisor;
  }

  STN_JAX_INLINE float Wrap(float position) const { return Remainder(position, size); }

  STN_JAX_INLINE Reflected Reflect(float position) const {
    const float distance = position + mirror;
    const float rest = Remainder(std::fabs(distance), period);
    // The point lies on the way back from the second mirror.
    const bool returns = rest > period / 2;
    float reflected = (returns ? period - rest : rest) - mirror;
    // With a single pixel and align_corners, the mirrors coincide, but `period` is not 0.
    const float last = size - 1 + mirror;
    reflected = reflected < last ? reflected : last;
    const float back = returns ? -1.0f : 1.0f;
    return {reflected, distance < 0 ? -back : back};
  }
};

// Calls body with the padding as a compile-time constant.
template <typename Body>
void WithPadding(Padding padding, Body body) {
  switch (padding) {
    case kZeros: return body(std::integral_constant<Padding, kZeros>());
    case kBorder: return body(std::integral_constant<Padding, kBorder>());
    case kReflection: return body(std::integral_constant<Padding, kReflection>());
    case kWrap: return body(std::integral_constant<Padding, kWrap>());
  }
}

#endif  // STN_JAX_COORDINATES_H_
