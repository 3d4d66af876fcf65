// Interpolation in images of one channel, for kernels of two or four taps: sums over the pixels of
// a line are vectors, as are the last sums, which go over points.

#ifndef STN_JAX_SINGLE_H_
#define STN_JAX_SINGLE_H_

#include <algorithm>
#include <cstdint>

#include "points.h"
#include "windows.h"

// For each point of a block, the lines of its window, summed up with their weights. With `slopes`,
// also with their derivatives along each axis but the last.
template <int axes, int taps, bool slopes>
struct LineSums {
  LineSums(const Lines<axes, taps>& lines, const Windows<axes, slopes>& windows, const Block& block,
           const float* image) {
    constexpr int kLines = Power(taps, axes - 1);
    int64_t in_image[kLines], in_copy[kLines];
    for (int line = 0; line < kLines; ++line) {
      in_image[line] = lines.Offset(line);
      in_copy[line] = line * taps;
    }
    int64_t starts[kBlock];
    lines.Find(windows, block.count, starts);
    for (int64_t i = 0; i < block.count; ++i) {
      float copy[kLines * taps];
      const bool inside = starts[i] >= 0;
      if (!inside) {
        std::fill_n(copy, kLines * taps, 0.0f);
        lines.ForPixels(windows, i, [&](int line, int tap, int64_t start) {
          copy[line * taps + tap] = image[start];
        });
      }
      const float* window = inside ? image + starts[i] : copy;
      const int64_t* offsets = inside ? in_image : in_copy;
      for (int by = 0; by < kSums; ++by) {
        Line sum{};
#pragma GCC unroll 16
        for (int line = 0; line < kLines; ++line) {
          sum += lines.Weight(windows, i, line, by - 1) * At(window + offsets[line]);
        }
        At(sums[by][i]) = sum;
      }
    }
  }

  static constexpr int kSums = slopes ? axes : 1;
  float sums[kSums][kBlock][taps];  // The weighted sum, and its derivatives.

 private:
  typedef float Line __attribute__((vector_size(4 * taps), aligned(4), may_alias));

  static Line& At(float* to) { return *reinterpret_cast<Line*>(to); }
  static const Line& At(const float* from) { return *reinterpret_cast<const Line*>(from); }
};

#endif  // STN_JAX_SINGLE_H_
