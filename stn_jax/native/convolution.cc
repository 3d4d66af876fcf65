// Convolution with stride 1 and its gradient to the kernel, for XLA on the CPU: see
// stn_jax/convolution.py. (The gradient to the input is a convolution too.)
//
// Both are matrix products whose left matrix is never written down: in the layout [H, W, C] what
// lies under one row of the kernel is contiguous, and the next window starts C numbers further.
// A tile of the result is summed up in registers. Every number is the sum of the same terms in the
// same order, however many threads there are.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "parallel.h"
#include "tiles.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

using Floats = ffi::Buffer<ffi::F32>;

struct Shapes {
  Shapes(const Floats& inputs, int64_t height, int64_t width, int64_t features, int64_t top,
         int64_t bottom, int64_t left, int64_t right)
      : height(height), width(width), features(features), top(top), left(left), right(right) {
    auto shape = inputs.dimensions();
    images = shape[0], in_height = shape[1], in_width = shape[2], channels = shape[3];
    padded_width = in_width + left + right;
    out_height = in_height + top + bottom - height + 1;
    out_width = padded_width - width + 1;
  }

  // So many rows of a padded image, [rows, padded_width, channels].
  void CopyPadded(const float* images, int64_t image, int64_t first, int64_t rows,
                  float* to) const {
    const int64_t row = in_width * channels;
    const float* from = images + image * in_height * row;
    for (int64_t y = first - top; y < first - top + rows; ++y) {
      if (y < 0 || y >= in_height) {
        to = std::fill_n(to, padded_width * channels, 0.0f);
      } else {
        to = std::fill_n(to, left * channels, 0.0f);
        to = std::copy_n(from + y * row, row, to);
        to = std::fill_n(to, right * channels, 0.0f);
      }
    }
  }

  // Whether a row of the padded image is.
  bool IsPadding(int64_t y) const { return y < top || y >= top + in_height; }

  int64_t height, width, features, top, left, right;
  int64_t images, in_height, in_width, channels, padded_width, out_height, out_width;
};

// Memory of this thread, for its next unit of work.
float* Scratch(int which, int64_t size) {
  thread_local std::vector<float> buffers[3];
  if (static_cast<int64_t>(buffers[which].size()) < size) buffers[which].resize(size);
  return buffers[which].data();
}

// [count, features] -> the panel of it that starts at `first`, [count, width].
void Pack(const float* from, int64_t count, int64_t features, int64_t first, int64_t width,
          float* to) {
  const int64_t there = std::min(width, features - first);
  for (int64_t k = 0; k < count; ++k, from += features, to += width) {
    std::fill(std::copy_n(from + first, there, to), to + width, 0.0f);
  }
}

// Rows of outputs [rows, out_width, features] of one image, from the padded rows that start at
// `row`, for one to three features.
void FewFeatures(const Shapes& s, const float* packed, const float* padded, int64_t row,
                 int64_t rows, float* to) {
  const int64_t padded_row = s.padded_width * s.channels, row_length = s.width * s.channels;
  auto run = [&](auto features, auto lanes) {
    for (int64_t y = 0; y < rows; ++y) {
      ForTiles<4>(s.out_width, [&](int64_t x, auto tile_rows) {
        Dots<tile_rows, features, lanes> dots;
        for (int64_t dy = 0; dy < s.height; ++dy) {
          if (s.IsPadding(row + y + dy)) continue;
          dots.Add(padded + (y + dy) * padded_row + x * s.channels, s.channels,
                   packed + dy * row_length, s.height * row_length, row_length);
        }
        dots.Store(to + (y * s.out_width + x) * features);
      });
    }
  };
  WithConstant<kFewFeatures - 1>(s.features, [&](auto features) {
    if (row_length % kLanes == 0) return run(features, std::integral_constant<int, kLanes>());
    run(features, std::integral_constant<int, kLanes / 2>());
  });
}

// The same for the features of one panel, [height, row_length, width].
template <int width>
void Panel(const Shapes& s, const float* packed, const float* padded, int64_t row, int64_t rows,
           int64_t first, float* to) {
  const int64_t padded_row = s.padded_width * s.channels, row_length = s.width * s.channels;
  const int64_t there = std::min<int64_t>(width, s.features - first);
  for (int64_t y = 0; y < rows; ++y) {
    ForTiles<kMostRows>(s.out_width, [&](int64_t x, auto tile_rows) {
      Tile<tile_rows, width> tile;
      for (int64_t dy = 0; dy < s.height; ++dy) {
        if (s.IsPadding(row + y + dy)) continue;
        tile.Add(padded + (y + dy) * padded_row + x * s.channels, s.channels,
                 std::integral_constant<int, 1>(), packed + dy * row_length * width, row_length);
      }
      float* at = to + (y * s.out_width + x) * s.features + first;
      if (there == width) return tile.Store(at, s.features);
      float whole[tile_rows * width];
      tile.Store(whole, width);
      for (int i = 0; i < tile_rows; ++i) {
        std::copy_n(whole + i * width, there, at + i * s.features);
      }
    });
  }
}

ffi::Future Convolution(ffi::ThreadPool threads, Floats inputs, Floats kernel,
                        ffi::Result<Floats> outputs, int64_t top, int64_t bottom, int64_t left,
                        int64_t right) {
  auto window = kernel.dimensions();
  const Shapes s(inputs, window[0], window[1], window[3], top, bottom, left, right);
  const int64_t length = s.height * s.width * s.channels;
  const float* weights = kernel.typed_data();
  std::shared_ptr<float[]> packed(new float[length * (s.features + kPanel)]);
  if (s.features < kFewFeatures) {
    for (int64_t k = 0; k < length; ++k) {
      for (int64_t f = 0; f < s.features; ++f) packed[f * length + k] = weights[k * s.features + f];
    }
  } else {
    for (int64_t f = 0; f < s.features; f += kPanel) {
      WithWidth(s.features - f, [&](auto width) {
        Pack(weights, length, s.features, f, width, packed.get() + length * f);
      });
    }
  }

  // A unit is several images or some rows of one; its padded input stays in the second cache.
  const int64_t cached = 1 << 16;
  const int64_t padded_row = s.padded_width * s.channels;
  const int64_t padded_image = (s.out_height + s.height - 1) * padded_row;
  const int64_t fair = std::max<int64_t>(1, s.images / (4 * threads.num_threads()));
  const int64_t group = std::clamp<int64_t>(cached / padded_image, 1, fair);
  const int64_t block = std::clamp<int64_t>(cached / padded_row, 1, s.out_height);
  const int64_t blocks = (s.out_height + block - 1) / block;
  const int64_t units = (s.images + group - 1) / group * blocks;
  const int64_t work = group * block * s.out_width * length * s.features / 16;
  const float* from = inputs.typed_data();
  float* to = outputs->typed_data();
  return InParallel(threads, units, work, [=](int64_t first_unit, int64_t last_unit) {
    for (int64_t unit = first_unit; unit < last_unit; ++unit) {
      const int64_t first_image = unit / blocks * group, row = unit % blocks * block;
      const int64_t images = std::min(group, s.images - first_image);
      const int64_t rows = std::min(block, s.out_height - row);
      const int64_t size = (rows + s.height - 1) * padded_row;
      float* padded = Scratch(0, images * size);
      for (int64_t i = 0; i < images; ++i) {
        s.CopyPadded(from, first_image + i, row, rows + s.height - 1, padded + i * size);
      }
      auto output = [&](int64_t i) {
        return to + ((first_image + i) * s.out_height + row) * s.out_width * s.features;
      };
      if (s.features < kFewFeatures) {
        for (int64_t i = 0; i < images; ++i) {
          FewFeatures(s, packed.get(), padded + i * size, row, rows, output(i));
        }
        continue;
      }
      for (int64_t f = 0; f < s.features; f += kPanel) {
        WithWidth(s.features - f, [&](auto width) {
          for (int64_t i = 0; i < images; ++i) {
            Panel<width>(s, packed.get() + length * f, padded + i * size, row, rows, f, output(i));
          }
        });
      }
    }
  });
}

ffi::Future KernelGradient(ffi::ThreadPool threads, Floats inputs, Floats cotangent,
                           ffi::Result<Floats> gradient, int64_t top, int64_t bottom, int64_t left,
                           int64_t right) {
  auto window = gradient->dimensions();
  const Shapes s(inputs, window[0], window[1], window[3], top, bottom, left, right);
  const int64_t row_length = s.width * s.channels, size = gradient->element_count();
  const int64_t padded_row = s.padded_width * s.channels;
  // A block is so many rows of outputs, of one image after the other, as the first cache holds.
  const int64_t block = std::max<int64_t>(1, 192 / s.out_width);
  // A unit is some rows of the kernel, enough of them to be worth the reading of a block,
  const int64_t kernel_rows = std::clamp<int64_t>(128 / row_length, 1, s.height);
  const int64_t kernel_blocks = (s.height + kernel_rows - 1) / kernel_rows;
  // and one panel of features. A small kernel has few of them: its sums are made in parts.
  const int64_t panels = (s.features + kPanel - 1) / kPanel;
  const int64_t most_parts = std::min<int64_t>(8, std::max<int64_t>(s.images, 1));
  const int64_t parts = std::clamp<int64_t>((1 << 17) / std::max<int64_t>(size, 1), 1, most_parts);
  const int64_t units = parts * panels * kernel_blocks;
  const int64_t work = s.images * s.out_height * s.out_width / parts * kernel_rows * row_length * 2;
  const float* from = inputs.typed_data();
  const float* weights = cotangent.typed_data();
  float* to = gradient->typed_data();
  std::shared_ptr<float[]> sums_of_parts(new float[parts * size]);
  auto unit_of = [=](int64_t part, int64_t feature, int64_t kernel_row, auto width) {
    const int64_t window_rows = std::min(kernel_rows, s.height - kernel_row);
    float* sums = Scratch(0, window_rows * row_length * width);
    std::fill_n(sums, window_rows * row_length * width, 0.0f);
    float* panel = Scratch(1, block * s.out_width * width);
    float* padded = Scratch(2, block * window_rows * padded_row);
    const int64_t end = (part + 1) * s.images / parts * s.out_height;
    for (int64_t first = part * s.images / parts * s.out_height; first < end; first += block) {
      const int64_t rows = std::min(block, end - first);
      for (int64_t r = 0; r < rows; ++r) {
        s.CopyPadded(from, (first + r) / s.out_height, (first + r) % s.out_height + kernel_row,
                     window_rows, padded + r * window_rows * padded_row);
      }
      Pack(weights + first * s.out_width * s.features, rows * s.out_width, s.features, feature,
           width, panel);
      for (int64_t dy = 0; dy < window_rows; ++dy) {
        ForTiles<kMostRows>(row_length, [&](int64_t x, auto tile_rows) {
          Tile<tile_rows, width> tile;
          float* at = sums + (dy * row_length + x) * width;
          tile.Load(at);
          for (int64_t r = 0; r < rows; ++r) {
            const int64_t y = (first + r) % s.out_height + kernel_row + dy;
            if (s.IsPadding(y)) continue;
            tile.Add(padded + (r * window_rows + dy) * padded_row + x,
                     std::integral_constant<int, 1>(), s.channels, panel + r * s.out_width * width,
                     s.out_width);
          }
          tile.Store(at, width);
        });
      }
    }
    const int64_t there = std::min<int64_t>(width, s.features - feature);
    for (int64_t k = 0; k < window_rows * row_length; ++k) {
      const int64_t at = (kernel_row * row_length + k) * s.features + feature;
      std::copy_n(sums + k * width, there, sums_of_parts.get() + part * size + at);
    }
  };
  auto left_over = std::make_shared<std::atomic<int64_t>>(units);
  return InParallel(threads, units, work, [=](int64_t first_unit, int64_t last_unit) {
    for (int64_t unit = first_unit; unit < last_unit; ++unit) {
      const int64_t kernel_row = unit % kernel_blocks * kernel_rows;
      const int64_t feature = unit / kernel_blocks % panels * kPanel;
      WithWidth(s.features - feature, [&](auto width) {
        unit_of(unit / kernel_blocks / panels, feature, kernel_row, width);
      });
    }
    const int64_t done = last_unit - first_unit;
    if (left_over->fetch_sub(done) > done) return;
    std::copy_n(sums_of_parts.get(), size, to);
    for (int64_t part = 1; part < parts; ++part) {
      const float* more = sums_of_parts.get() + part * size;
      for (int64_t k = 0; k < size; ++k) to[k] += more[k];
    }
  });
}

}  // namespace

#define BIND()                                                                           \
  ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Floats>().Arg<Floats>().Ret<Floats>()      \
      .Attr<int64_t>("top").Attr<int64_t>("bottom").Attr<int64_t>("left")                \
      .Attr<int64_t>("right")

XLA_FFI_DEFINE_HANDLER_SYMBOL(convolution, Convolution, BIND());
XLA_FFI_DEFINE_HANDLER_SYMBOL(convolution_kernel_gradient, KernelGradient, BIND());
