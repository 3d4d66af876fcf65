// Interpolation and its transposes, for XLA on the CPU: the primitives that
// stn_jax/sampling/interpolation.py makes.
//
// The image has one to three axes S. All axes in front of those in the signatures there are batch
// axes, which are treated as one: image is [images, *S, C], grid [images, points, n] and values
// [images, points, C]. Every result is the sum of the same terms in the same order, whatever the
// number of threads.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "bilinear.h"
#include "nearest.h"
#include "parallel.h"
#include "points.h"
#include "single.h"
#include "windows.h"
#include "xla/ffi/api/ffi.h"

namespace {

using Sizes = ffi::Span<const int64_t>;

template <int number>
using Constant = std::integral_constant<int, number>;

// Whether single.h computes with such a number of channels and taps, which may be constants.
template <typename Channels>
constexpr bool IsSingle(int taps) {
  return std::is_same_v<Channels, std::integral_constant<int64_t, 1>> && (taps == 2 || taps == 4);
}

// Calls body(axes, taps, channels). The first two are compile-time constants, where 0 stands for
// kernel.taps. With 2 or 4 taps, the channels are those of WithChannels.
template <typename Body>
void WithSizes(const Sampler& sampler, const Kernel& kernel, int64_t channels, Body body) {
  WithAxes(sampler, [&](auto axes) {
    auto with_taps = [&](auto taps) {
      WithChannels(channels, [&](auto channels) { body(axes, taps, channels); });
    };
    switch (kernel.taps) {
      case 2: return with_taps(Constant<2>());
      case 4: return with_taps(Constant<4>());
      default: return body(axes, Constant<0>(), channels);
    }
  });
}

// image, grid -> values.
void Read(ffi::ThreadPool threads, const Sampler& sampler, const Kernel& kernel,
          int64_t number_of_channels, const float* images, float* to) {
  WithSizes(sampler, kernel, number_of_channels, [&](auto axes, auto fixed, auto channels) {
    const int64_t count = sampler.images * sampler.points;
    const int taps = Taps<fixed>(kernel);
    const int64_t work = channels * Power(taps, axes) + 4;
    InParallel(threads, count, work, [=, &sampler, &kernel](int64_t begin, int64_t end) {
      Lines<axes, fixed> lines(sampler, kernel, channels);
      std::vector<float> sums(taps * channels);
      ForBlocks(sampler, begin, end, [&](const Block& block) {
        const Windows<axes> windows(sampler, kernel, block);
        const auto& along = windows.weights[axes - 1];
        const float* image = images + block.image * lines.step;
        float* value = to + block.begin * channels;
        if constexpr (IsSingle<decltype(channels)>(fixed)) {
          const LineSums<axes, fixed, false> lines_of(lines, windows, block, image);
#pragma omp simd simdlen(16)
          for (int64_t i = 0; i < block.count; ++i) {
            float sum = 0;
            for (int tap = 0; tap < fixed; ++tap) sum += along[tap][i] * lines_of.sums[0][i][tap];
            value[i] = sum;
          }
          return;
        }
        int64_t starts[kBlock];
        lines.Find(windows, block.count, starts);
        for (int64_t i = 0; i < block.count; ++i, value += channels) {
          if (starts[i] < 0) {
            std::fill_n(value, channels, 0.0f);
            lines.ForPixels(windows, i, [&](int line, int tap, int64_t start) {
              const float weight = lines.Weight(windows, i, line) * along[tap][i];
              for (int64_t k = 0; k < channels; ++k) value[k] += weight * image[start + k];
            });
            continue;
          }
          const float* window = image + starts[i];
          std::fill_n(value, channels, 0.0f);
          const int64_t length = taps * channels;
          float* __restrict sum = sums.data();
          for (int line = 0; line < lines.Count(); ++line) {
            const float weight = lines.Weight(windows, i, line);
            const float* pixels = window + lines.Offset(line);
            if (line == 0) {
#pragma omp simd
              for (int64_t j = 0; j < length; ++j) sum[j] = weight * pixels[j];
            } else {
#pragma omp simd
              for (int64_t j = 0; j < length; ++j) sum[j] += weight * pixels[j];
            }
          }
          for (int tap = 0; tap < taps; ++tap, sum += channels) {
            const float weight = along[tap][i];
#pragma omp simd
            for (int64_t k = 0; k < channels; ++k) value[k] += weight * sum[k];
          }
        }
      });
    });
  });
}

// values, grid -> image.
void ReadTranspose(ffi::ThreadPool threads, const Sampler& sampler, const Kernel& kernel,
                   int64_t number_of_channels, const float* from, float* to) {
  WithSizes(sampler, kernel, number_of_channels, [&](auto axes, auto fixed, auto channels) {
    const int taps = Taps<fixed>(kernel);
    const int64_t work = channels * Power(taps, axes) + 4;
    ForBands(threads, sampler, channels, work, [=, &sampler, &kernel](const Band& band) {
      const Lines<axes, fixed> lines(sampler, kernel, channels);
      const int64_t begin = band.begin * channels, end = band.end * channels;
      const bool is_whole = end - begin == lines.step;
      const int lines_of_row = axes > 1 ? lines.Count() / taps : 1;
      std::vector<float> products(taps * channels);
      float* image = to + band.image * lines.step;
      std::fill(image + begin, image + end, 0.0f);
      ForBlocks(sampler, band.image, [&](const Block& block) {
        const Windows<axes> windows(sampler, kernel, block);
        const auto& along = windows.weights[axes - 1];
        const float* value = from + block.begin * channels;
        int64_t starts[kBlock];
        lines.Find(windows, block.count, starts);
        for (int64_t i = 0; i < block.count; ++i, value += channels) {
          if (starts[i] < 0) {
            lines.ForPixels(windows, i, [&](int line, int tap, int64_t start) {
              if (start < begin || start >= end) return;
              const float weight = lines.Weight(windows, i, line) * along[tap][i];
              for (int64_t k = 0; k < channels; ++k) image[start + k] += weight * value[k];
            });
            continue;
          }
          float* __restrict product = products.data();
          for (int tap = 0; tap < taps; ++tap) {
            const float weight = along[tap][i];
#pragma omp simd
            for (int64_t k = 0; k < channels; ++k) product[tap * channels + k] = weight * value[k];
          }
          for (int line = 0; line < lines.Count(); ++line) {
            const int32_t row = windows.first[0][i] + line / lines_of_row;
            if (!is_whole && !IsIn(row, band.top, band.bottom)) continue;
            const float weight = lines.Weight(windows, i, line);
            float* __restrict pixels = image + starts[i] + lines.Offset(line);
#pragma omp simd
            for (int64_t j = 0; j < taps * channels; ++j) pixels[j] += weight * product[j];
          }
        }
      });
    });
  });
}

// values, image, grid -> shift, the gradient with respect to the grid.
void ShiftTranspose(ffi::ThreadPool threads, const Sampler& sampler, const Kernel& kernel,
                    int64_t number_of_channels, const float* from, const float* images, float* to) {
  WithSizes(sampler, kernel, number_of_channels, [&](auto axes, auto fixed, auto channels) {
    const int64_t count = sampler.images * sampler.points;
    const int taps = Taps<fixed>(kernel);
    const int64_t work = channels * Power(taps, axes) + 4;
    InParallel(threads, count, work, [=, &sampler, &kernel](int64_t begin, int64_t end) {
      Lines<axes, fixed> lines(sampler, kernel, channels);
      // The dot products of each pixel with the value.
      std::vector<float> dots(Power(kMostTaps, axes));
      ForBlocks(sampler, begin, end, [&](const Block& block) {
        const Windows<axes, true> windows(sampler, kernel, block);
        const float* image = images + block.image * lines.step;
        const float* value = from + block.begin * channels;
        float* __restrict moves = to + axes * block.begin;
        if constexpr (IsSingle<decltype(channels)>(fixed)) {
          const LineSums<axes, fixed, true> lines_of(lines, windows, block, image);
#pragma omp simd simdlen(16)
          for (int64_t i = 0; i < block.count; ++i) {
            for (int axis = 0; axis < axes; ++axis) {
              const bool is_last = axis == axes - 1;
              const auto& factors = is_last ? windows.slopes[axis] : windows.weights[axes - 1];
              const auto& sums = lines_of.sums[is_last ? 0 : axis + 1];
              float move = 0;
              for (int tap = 0; tap < fixed; ++tap) move += factors[tap][i] * sums[i][tap];
              // A slope of 0 means no gradient, even if the pixels are infinite or NaN.
              const float slope = windows.slope[axis][i];
              moves[axes * i + axes - 1 - axis] = slope ? slope * value[i] * move : 0;
            }
          }
          return;
        }
        int64_t starts[kBlock];
        lines.Find(windows, block.count, starts);
        for (int64_t i = 0; i < block.count; ++i, value += channels, moves += axes) {
          if (starts[i] >= 0) {
            for (int line = 0; line < lines.Count(); ++line) {
              const float* pixels = image + starts[i] + lines.Offset(line);
              float* dot = &dots[line * taps];
              for (int tap = 0; tap < taps; ++tap) {
                dot[tap] = Dot(value, pixels + tap * channels, channels);
              }
            }
          } else {
            std::fill(dots.begin(), dots.end(), 0.0f);
            lines.ForPixels(windows, i, [&](int line, int tap, int64_t start) {
              dots[line * taps + tap] = Dot(value, image + start, channels);
            });
          }
          float move[axes] = {};
          for (int line = 0; line < lines.Count(); ++line) {
            float sum = 0, change = 0;
            for (int tap = 0; tap < taps; ++tap) {
              const float dot = dots[line * taps + tap];
              sum += windows.weights[axes - 1][tap][i] * dot;
              change += windows.slopes[axes - 1][tap][i] * dot;
            }
            move[axes - 1] += lines.Weight(windows, i, line) * change;
            for (int axis = 0; axis < axes - 1; ++axis) {
              move[axis] += lines.Weight(windows, i, line, axis) * sum;
            }
          }
          for (int axis = 0; axis < axes; ++axis) {
            // A slope of 0 means no gradient, even if the pixels are infinite or NaN.
            const float slope = windows.slope[axis][i];
            moves[axes - 1 - axis] = slope ? slope * move[axis] : 0;
          }
        }
      });
    });
  });
}

// What all kernels compute with, and whether nearest.h or bilinear.h has a faster form.
struct Task {
  Task(const Floats& grid, Sizes sizes, int64_t padding, int64_t align_corners, int64_t in_pixels,
       int64_t taps, int64_t is_cubic, double cubic_a)
      : kernel{static_cast<int>(taps), is_cubic != 0, static_cast<float>(cubic_a)} {
    auto shape = grid.dimensions();
    const auto points = shape.end() - 2;  // This follows the batch axes.
    sampler.grid = grid.typed_data();
    sampler.images = std::accumulate(shape.begin(), points, int64_t{1}, std::multiplies<>());
    sampler.points = points[0];
    sampler.padding = static_cast<Padding>(padding);
    int64_t framed = 1;
    for (int64_t size : sizes) {
      sampler.axes.emplace_back(size, align_corners, in_pixels);
      framed *= size + 4;
    }
    // The fast forms count the pixels of an image, and of a frame around it, in int32_t.
    const bool is_small = framed <= std::numeric_limits<int32_t>::max();
    is_nearest = taps == 1 && is_small;
    is_bilinear = taps == 2 && sizes.size() == 2 && padding != kWrap && is_small;
  }

  Sampler sampler;
  Kernel kernel;
  bool is_nearest, is_bilinear;
};

// image, grid -> values, and values, grid -> image.
template <auto nearest, auto bilinear, auto general>
ffi::Error Sample(ffi::ThreadPool threads, Floats operand, Floats grid, ffi::Result<Floats> result,
                  Sizes sizes, int64_t padding, int64_t align_corners, int64_t in_pixels,
                  int64_t taps, int64_t is_cubic, double cubic_a) {
  const Task task(grid, sizes, padding, align_corners, in_pixels, taps, is_cubic, cubic_a);
  const int64_t channels = operand.dimensions().back();
  const float* from = operand.typed_data();
  float* to = result->typed_data();
  if (task.is_nearest) {
    nearest(threads, task.sampler, channels, from, to);
  } else if (task.is_bilinear) {
    bilinear(threads, task.sampler, channels, from, to);
  } else {
    general(threads, task.sampler, task.kernel, channels, from, to);
  }
  return ffi::Error::Success();
}

ffi::Error SampleShiftTranspose(ffi::ThreadPool threads, Floats values, Floats image, Floats grid,
                                ffi::Result<Floats> shift, Sizes sizes, int64_t padding,
                                int64_t align_corners, int64_t in_pixels, int64_t taps,
                                int64_t is_cubic, double cubic_a) {
  const Task task(grid, sizes, padding, align_corners, in_pixels, taps, is_cubic, cubic_a);
  const int64_t channels = values.dimensions().back();
  const float *from = values.typed_data(), *images = image.typed_data();
  float* to = shift->typed_data();
  if (task.is_bilinear) {
    bilinear::ShiftTranspose(threads, task.sampler, channels, from, images, to);
  } else {
    ShiftTranspose(threads, task.sampler, task.kernel, channels, from, images, to);
  }
  return ffi::Error::Success();
}

}  // namespace

#define BIND() ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
#define INTEGER(name) Attr<int64_t>(name)
#define PARAMS()                                                                \
  Attr<Sizes>("sizes").INTEGER("padding").INTEGER("align_corners")              \
      .INTEGER("in_pixels").INTEGER("taps").INTEGER("is_cubic").Attr<double>("cubic_a")

constexpr auto SampleRead = Sample<nearest::Read, bilinear::Read, Read>;
constexpr auto SampleReadTranspose =
    Sample<nearest::ReadTranspose, bilinear::ReadTranspose, ReadTranspose>;

XLA_FFI_DEFINE_HANDLER_SYMBOL(sample_read, SampleRead,
                              BIND().Arg<Floats>().Arg<Floats>().Ret<Floats>().PARAMS());
XLA_FFI_DEFINE_HANDLER_SYMBOL(sample_read_transpose, SampleReadTranspose,
                              BIND().Arg<Floats>().Arg<Floats>().Ret<Floats>().PARAMS());
XLA_FFI_DEFINE_HANDLER_SYMBOL(sample_shift_transpose, SampleShiftTranspose,
                              BIND().Arg<Floats>().Arg<Floats>().Arg<Floats>().Ret<Floats>()
                                  .PARAMS());
