// The transposes of bilinear interpolation, for XLA on the CPU: see stn_jax/bilinear.py.
//
// A batch is all axes in front of those named in the signatures there. Every number is the sum of
// the same terms in the same order, however many threads there are.

#include <algorithm>
#include <complex>
#include <cstdint>
#include <functional>
#include <numeric>
#include <type_traits>
#include <utility>

#include "parallel.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

using Floats = ffi::Buffer<ffi::F32>;
using Integers = ffi::Buffer<ffi::S32>;
using Complexes = ffi::Buffer<ffi::C64>;

// The points of all images, one image after the other, and how far apart the images lie.
struct Points {
  Points(const Integers& corner, const Floats& u, const Floats& v)
      : corner(corner.typed_data()), u(u.typed_data()), v(v.typed_data()) {
    auto shape = corner.dimensions();
    per_image = shape.back();
    images = std::accumulate(shape.begin(), shape.end() - 1, int64_t{1}, std::multiplies<>());
  }

  const int32_t* corner;
  const float* u;
  const float* v;
  int64_t per_image, images;
};

// Calls body with the channels; few of them as a constant, for loops that are unrolled.
template <typename Body>
ffi::Future WithChannels(int64_t channels, Body body) {
  switch (channels) {
    case 1: return body(std::integral_constant<int64_t, 1>());
    case 3: return body(std::integral_constant<int64_t, 3>());
    default: return body(channels);
  }
}

ffi::Future ReadTranspose(ffi::ThreadPool threads, Floats values, Integers corner, Floats u,
                          Floats v, ffi::Result<Floats> pixels, int64_t size, int64_t width) {
  const Points points(corner, u, v);
  const float* from = values.typed_data();
  float* to = pixels->typed_data();
  return WithChannels(values.dimensions().back(), [=](auto channels) {
    const int64_t work = (points.per_image + size) * (channels + 4);
    return InParallel(threads, points.images, work, [=](int64_t first, int64_t last) {
      const int64_t step = size * channels;
      std::fill(to + first * step, to + last * step, 0.0f);
      for (int64_t image = first; image < last; ++image) {
        const int64_t begin = image * points.per_image;
        for (int64_t i = begin; i < begin + points.per_image; ++i) {
          const float* value = from + i * channels;
          auto add = [&](int64_t tap, float weight) {
            float* __restrict pixel = to + image * step + (points.corner[i] + tap) * channels;
            for (int64_t k = 0; k < channels; ++k) pixel[k] += weight * value[k];
          };
          const float u = points.u[i], v = points.v[i];
          add(0, (1 - v) * (1 - u));
          add(1, (1 - v) * u);
          add(width, v * (1 - u));
          add(width + 1, v * u);
        }
      }
    });
  });
}

ffi::Future ShiftTranspose(ffi::ThreadPool threads, Floats values, Floats pixels, Integers corner,
                           Floats u, Floats v, ffi::Result<Complexes> shift, int64_t size,
                           int64_t width) {
  const Points points(corner, u, v);
  const float* weights = values.typed_data();
  const float* from = pixels.typed_data();
  std::complex<float>* to = shift->typed_data();
  return WithChannels(values.dimensions().back(), [=](auto channels) {
    const int64_t count = points.images * points.per_image;
    return InParallel(threads, count, channels + 4, [=](int64_t first, int64_t last) {
      for (int64_t i = first; i < last;) {
        const int64_t image = i / points.per_image;
        const int64_t end = std::min(last, (image + 1) * points.per_image);
        for (; i < end; ++i) {
          const float* top = from + (image * size + points.corner[i]) * channels;
          const float* bottom = top + width * channels;
          const float* weight = weights + i * channels;
          const float u = points.u[i], v = points.v[i];
          float by_u = 0, by_v = 0;
#pragma omp simd reduction(+ : by_u, by_v)
          for (int64_t k = 0; k < channels; ++k) {
            const float a = top[k], b = top[channels + k], c = bottom[k], d = bottom[channels + k];
            by_u += weight[k] * ((1 - v) * (b - a) + v * (d - c));
            by_v += weight[k] * ((1 - u) * (c - a) + u * (d - b));
          }
          to[i] = {by_u, -by_v};
        }
      }
    });
  });
}

#define BIND() ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()
#define POINTS() Arg<Integers>().Arg<Floats>().Arg<Floats>()

XLA_FFI_DEFINE_HANDLER_SYMBOL(bilinear_read_transpose, ReadTranspose,
                              BIND().Arg<Floats>().POINTS().Ret<Floats>()
                                  .Attr<int64_t>("size").Attr<int64_t>("width"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(bilinear_shift_transpose, ShiftTranspose,
                              BIND().Arg<Floats>().Arg<Floats>().POINTS().Ret<Complexes>()
                                  .Attr<int64_t>("size").Attr<int64_t>("width"));
