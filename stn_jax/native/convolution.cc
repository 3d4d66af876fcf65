// Convolution with stride 1 and its gradients, for XLA on the CPU: the primitives that
// stn_jax/functional/convolution.py defines.
//
// Each of them is a matrix product whose left matrix, the windows of the input, is never stored. In
// the layout [H, W, C], the numbers of a window under one row of the kernel are contiguous, and the
// next window starts C numbers later. The product is computed in tiles (see tiles.h). Every result
// is the sum of the same terms in the same order, whatever the number of threads.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "parallel.h"
#include "tiles.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

using Floats = ffi::Buffer<ffi::F32>;

// The shapes of a convolution: inputs [images, in_height, in_width, channels], kernel
// [height, width, channels, features] and outputs [images, out_height, out_width, features]. A row
// of a padded image has padded_width pixels, which are padded_row numbers.
struct Shapes {
  Shapes(const Floats& inputs, const Floats& kernel, int64_t top, int64_t bottom, int64_t left,
         int64_t right)
      : top(top), left(left), right(right) {
    auto shape = inputs.dimensions(), window = kernel.dimensions();
    images = shape[0], in_height = shape[1], in_width = shape[2], channels = shape[3];
    height = window[0], width = window[1], features = window[3];
    row_length = width * channels, length = height * row_length;
    padded_width = in_width + left + right, padded_row = padded_width * channels;
    out_height = in_height + top + bottom - height + 1;
    out_width = padded_width - width + 1;
  }

  // Copies `rows` rows of a padded image from row `first` on: [rows, padded_width, channels].
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

  // Returns whether row y of the padded image is padding, and thus all zeros.
  bool IsPadding(int64_t y) const { return y < top || y >= top + in_height; }

  int64_t top, left, right, images, in_height, in_width, channels, height, width, features;
  int64_t row_length, length;  // The numbers under one row of the kernel, and under all of it.
  int64_t padded_width, padded_row, out_height, out_width;
};

// Returns whether there is nothing to sum up, because an array has no elements. If so, the result is
// filled with zeros.
bool IsEmptySum(const Floats& left, const Floats& right, ffi::Result<Floats>& result) {
  const size_t size = result->element_count();
  if (left.element_count() && right.element_count() && size) return false;
  std::fill_n(result->typed_data(), size, 0.0f);
  return true;
}

// Returns memory of this thread, which its next unit of work uses again. `which` distinguishes
// buffers that are in use at the same time.
float* Scratch(int which, int64_t size) {
  thread_local std::vector<float> buffers[3];
  if (static_cast<int64_t>(buffers[which].size()) < size) buffers[which].resize(size);
  return buffers[which].data();
}

// Packs a panel: copies the features from `first` on of a matrix [count, features] to
// [count, width], and fills up with zeros.
void Pack(const float* from, int64_t count, int64_t features, int64_t first, int64_t width,
          float* to) {
  const int64_t there = std::min(width, features - first);
  for (int64_t k = 0; k < count; ++k, from += features, to += width) {
    std::fill(std::copy_n(from + first, there, to), to + width, 0.0f);
  }
}

// Computes one panel of features, from feature `first` on, for some rows of outputs.
//
// packed: the panel of the kernel, [height, row_length, width].
// padded: the rows of the padded image from `row` on, as many as the windows cover.
// to: the outputs from row `row` on, [rows, out_width, features].
template <int width>
void Panel(const Shapes& s, const float* packed, const float* padded, int64_t row, int64_t rows,
           int64_t first, float* to) {
  const int64_t there = std::min<int64_t>(width, s.features - first);
  for (int64_t y = 0; y < rows; ++y) {
    ForTiles(s.out_width, [&](int64_t x, auto tile_rows) {
      Tile<tile_rows, width> tile;
      for (int64_t dy = 0; dy < s.height; ++dy) {
        if (s.IsPadding(row + y + dy)) continue;  // Padding adds only zeros.
        tile.Add(padded + (y + dy) * s.padded_row + x * s.channels, s.channels,
                 std::integral_constant<int, 1>(), packed + dy * s.row_length * width,
                 s.row_length);
      }
      float* at = to + (y * s.out_width + x) * s.features + first;
      if (there == width) return tile.Store(at, s.features);
      // The panel has columns without a feature, which must not be stored.
      float whole[tile_rows * width];
      tile.Store(whole, width);
      for (int i = 0; i < tile_rows; ++i) {
        std::copy_n(whole + i * width, there, at + i * s.features);
      }
    });
  }
}

// inputs, kernel -> outputs.
ffi::Error Convolution(ffi::ThreadPool threads, Floats inputs, Floats kernel,
                       ffi::Result<Floats> outputs, int64_t top, int64_t bottom, int64_t left,
                       int64_t right) {
  if (IsEmptySum(inputs, kernel, outputs)) return ffi::Error::Success();
  const Shapes s(inputs, kernel, top, bottom, left, right);
  // All panels of the kernel, one after the other: that from feature f on starts at length * f.
  const std::unique_ptr<float[]> memory(new float[s.length * (s.features + kPanel)]);
  float* packed = memory.get();
  for (int64_t f = 0; f < s.features; f += kPanel) {
    WithWidth(s.features - f, [&](auto width) {
      Pack(kernel.typed_data(), s.length, s.features, f, width, packed + s.length * f);
    });
  }

  // A unit of work is a group of images or a block of rows of one image. It is small enough for its
  // padded input to stay in the second-level cache. A group is also small enough to leave four
  // units for each thread, if there are that many images.
  const int64_t cached = 1 << 16;
  const int64_t padded_image = (s.out_height + s.height - 1) * s.padded_row;
  const int64_t fair = std::max<int64_t>(1, s.images / (4 * threads.num_threads()));
  const int64_t group = std::clamp<int64_t>(cached / padded_image, 1, fair);
  const int64_t block = std::clamp<int64_t>(cached / s.padded_row, 1, s.out_height);
  const int64_t blocks = (s.out_height + block - 1) / block;
  const int64_t units = (s.images + group - 1) / group * blocks;
  const int64_t work = group * block * s.out_width * s.length * s.features / 16;
  const float* from = inputs.typed_data();
  float* to = outputs->typed_data();
  InParallel(threads, units, work, [=](int64_t first_unit, int64_t last_unit) {
    for (int64_t unit = first_unit; unit < last_unit; ++unit) {
      const int64_t first_image = unit / blocks * group, row = unit % blocks * block;
      const int64_t images = std::min(group, s.images - first_image);
      const int64_t rows = std::min(block, s.out_height - row);
      const int64_t size = (rows + s.height - 1) * s.padded_row;
      float* padded = Scratch(0, images * size);
      for (int64_t i = 0; i < images; ++i) {
        s.CopyPadded(from, first_image + i, row, rows + s.height - 1, padded + i * size);
      }
      auto output = [&](int64_t i) {
        return to + ((first_image + i) * s.out_height + row) * s.out_width * s.features;
      };
      for (int64_t f = 0; f < s.features; f += kPanel) {
        WithWidth(s.features - f, [&](auto width) {
          for (int64_t i = 0; i < images; ++i) {
            Panel<width>(s, packed + s.length * f, padded + i * size, row, rows, f,
                         output(i));
          }
        });
      }
    }
  });
  return ffi::Error::Success();
}

// Transposes the kernel [height, row_length, features] to [height, features, row_length], and packs
// the panel of it that starts at column `first`: [height, features, width].
void PackTransposed(const Shapes& s, const float* from, int64_t first, int64_t width, float* to) {
  const int64_t there = std::min(width, s.row_length - first);
  for (int64_t dy = 0; dy < s.height; ++dy, to += s.features * width) {
    const float* rows = from + (dy * s.row_length + first) * s.features;
    for (int64_t f = 0; f < s.features; ++f) {
      for (int64_t k = 0; k < width; ++k) {
        to[f * width + k] = k < there ? rows[k * s.features + f] : 0.0f;
      }
    }
  }
}

// cotangent of the outputs, kernel -> gradient with respect to the inputs.
ffi::Error InputGradient(ffi::ThreadPool threads, Floats cotangent, Floats kernel,
                         ffi::Result<Floats> gradient, int64_t top, int64_t bottom, int64_t left,
                         int64_t right) {
  if (IsEmptySum(cotangent, kernel, gradient)) return ffi::Error::Success();
  const Shapes s(*gradient, kernel, top, bottom, left, right);
  const int64_t packed_row = s.height * s.features;
  const std::unique_ptr<float[]> memory(new float[packed_row * (s.row_length + kPanel)]);
  float* packed = memory.get();
  for (int64_t first = 0; first < s.row_length; first += kPanel) {
    WithWidth(s.row_length - first, [&](auto width) {
      PackTransposed(s, kernel.typed_data(), first, width, packed + packed_row * first);
    });
  }
  const float* from = cotangent.typed_data();
  float* to = gradient->typed_data();

  // A unit of work is a block of rows of one image's gradient. Each output adds to the gradient of
  // the inputs in its window. A tile holds what some neighbouring windows add to one row; as they
  // overlap, it is then added to `sums`, [rows, padded_width, channels].
  const int64_t block = std::clamp<int64_t>((1 << 16) / s.padded_row, 1, s.in_height);
  const int64_t blocks = (s.in_height + block - 1) / block;
  const int64_t work = block * s.out_width * s.length * s.features / 16;
  InParallel(threads, s.images * blocks, work, [=](int64_t first_unit, int64_t last_unit) {
    for (int64_t unit = first_unit; unit < last_unit; ++unit) {
      const int64_t image = unit / blocks, row = unit % blocks * block;
      const int64_t rows = std::min(block, s.in_height - row);
      const float* weights = from + image * s.out_height * s.out_width * s.features;
      float* sums = Scratch(0, rows * s.padded_row);
      std::fill_n(sums, rows * s.padded_row, 0.0f);
      for (int64_t first = 0; first < s.row_length; first += kPanel) {
        WithWidth(s.row_length - first, [&](auto width) {
          const float* panel = packed + packed_row * first;
          const int64_t there = std::min<int64_t>(width, s.row_length - first);
          for (int64_t y = 0; y < rows; ++y) {
            ForTiles(s.out_width, [&](int64_t x, auto tile_rows) {
              Tile<tile_rows, width> tile;
              for (int64_t dy = 0; dy < s.height; ++dy) {
                const int64_t out_y = row + y + s.top - dy;
                if (out_y < 0 || out_y >= s.out_height) continue;
                tile.Add(weights + (out_y * s.out_width + x) * s.features, s.features,
                         std::integral_constant<int, 1>(), panel + dy * s.features * width,
                         s.features);
              }
              tile.AddTo(sums + y * s.padded_row + x * s.channels + first, s.channels, there);
            });
          }
        });
      }
      for (int64_t y = 0; y < rows; ++y) {
        std::copy_n(sums + y * s.padded_row + s.left * s.channels, s.in_width * s.channels,
                    to + (image * s.in_height + row + y) * s.in_width * s.channels);
      }
    }
  });
  return ffi::Error::Success();
}

// inputs, cotangent of the outputs -> gradient with respect to the kernel.
ffi::Error KernelGradient(ffi::ThreadPool threads, Floats inputs, Floats cotangent,
                          ffi::Result<Floats> gradient, int64_t top, int64_t bottom, int64_t left,
                          int64_t right) {
  if (IsEmptySum(inputs, cotangent, gradient)) return ffi::Error::Success();
  const Shapes s(inputs, *gradient, top, bottom, left, right);
  const int64_t size = gradient->element_count();
  // A unit of work is one panel of features and some rows of the kernel, few enough for its sums to
  // stay in the second-level cache, and fewer if there are many threads. For a small kernel the
  // images are also split into parts, which are added up at the end. The number of parts must not
  // depend on the number of threads, because it affects rounding.
  const int64_t panels = (s.features + kPanel - 1) / kPanel;
  const int64_t wanted_parts = std::min(16 / panels, (1 << 20) / size);
  const int64_t parts = std::clamp<int64_t>(wanted_parts, 1, s.images);
  const int64_t cached = (160 << 10) / (s.row_length * kPanel);
  const int64_t fair = parts * panels * s.height / (3 * threads.num_threads());
  const int64_t kernel_rows = std::clamp<int64_t>(std::min(cached, fair), 1, s.height);
  const int64_t kernel_blocks = (s.height + kernel_rows - 1) / kernel_rows;
  const int64_t units = parts * panels * kernel_blocks;
  // A block is some rows of outputs, few enough for the first-level cache. Rows are counted through
  // all images of the part, so a block may contain rows of several images.
  constexpr int64_t kMostPixels = 192;
  const int64_t block = std::max<int64_t>(1, kMostPixels / s.out_width);
  const int64_t work = s.images * s.out_height * s.out_width / parts * s.length * s.features /
                       (16 * panels * kernel_blocks);
  const float* from = inputs.typed_data();
  const float* weights = cotangent.typed_data();
  float* to = gradient->typed_data();
  const std::unique_ptr<float[]> memory(new float[parts * size]);
  float* sums_of_parts = memory.get();
  auto unit_of = [=](int64_t part, int64_t feature, int64_t kernel_row, auto width) {
    const int64_t window_rows = std::min(kernel_rows, s.height - kernel_row);
    float* sums = Scratch(0, window_rows * s.row_length * width);
    std::fill_n(sums, window_rows * s.row_length * width, 0.0f);
    float* panel = Scratch(1, block * s.out_width * width);
    float* padded = Scratch(2, block * window_rows * s.padded_row);
    const int64_t end = (part + 1) * s.images / parts * s.out_height;
    for (int64_t first = part * s.images / parts * s.out_height; first < end; first += block) {
      const int64_t rows = std::min(block, end - first);
      // The padded rows of input under the rows of the kernel, for each row of outputs.
      const float* windows[kMostPixels];
      float* next = padded;
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t image = (first + r) / s.out_height, y = (first + r) % s.out_height;
        // The windows of neighbouring rows overlap, so only the last of their rows is missing.
        const int64_t there = r > 0 && y > 0 ? window_rows - 1 : 0;
        s.CopyPadded(from, image, y + kernel_row + there, window_rows - there, next);
        next += (window_rows - there) * s.padded_row;
        windows[r] = next - window_rows * s.padded_row;
      }
      Pack(weights + first * s.out_width * s.features, rows * s.out_width, s.features, feature,
           width, panel);
      for (int64_t dy = 0; dy < window_rows; ++dy) {
        ForTiles(s.row_length, [&](int64_t x, auto tile_rows) {
          Tile<tile_rows, width> tile;
          float* at = sums + (dy * s.row_length + x) * width;
          tile.Load(at);
          for (int64_t r = 0; r < rows; ++r) {
            const int64_t y = (first + r) % s.out_height + kernel_row + dy;
            if (s.IsPadding(y)) continue;
            tile.Add(windows[r] + dy * s.padded_row + x, std::integral_constant<int, 1>(),
                     s.channels, panel + r * s.out_width * width, s.out_width);
          }
          tile.Store(at, width);
        });
      }
    }
    const int64_t there = std::min<int64_t>(width, s.features - feature);
    for (int64_t k = 0; k < window_rows * s.row_length; ++k) {
      const int64_t at = (kernel_row * s.row_length + k) * s.features + feature;
      std::copy_n(sums + k * width, there, sums_of_parts + part * size + at);
    }
  };
  InParallel(threads, units, work, [=](int64_t first_unit, int64_t last_unit) {
    for (int64_t unit = first_unit; unit < last_unit; ++unit) {
      const int64_t kernel_row = unit % kernel_blocks * kernel_rows;
      const int64_t feature = unit / kernel_blocks % panels * kPanel;
      WithWidth(s.features - feature, [&](auto width) {
        unit_of(unit / kernel_blocks / panels, feature, kernel_row, width);
      });
    }
  });
  std::copy_n(sums_of_parts, size, to);
  for (int64_t part = 1; part < parts; ++part) {
    const float* more = sums_of_parts + part * size;
    for (int64_t k = 0; k < size; ++k) to[k] += more[k];
  }
  return ffi::Error::Success();
}

}  // namespace

#define BIND()                                                                           \
  ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Floats>().Arg<Floats>().Ret<Floats>()      \
      .Attr<int64_t>("top").Attr<int64_t>("bottom").Attr<int64_t>("left")                \
      .Attr<int64_t>("right")

XLA_FFI_DEFINE_HANDLER_SYMBOL(convolution, Convolution, BIND());
XLA_FFI_DEFINE_HANDLER_SYMBOL(convolution_input_gradient, InputGradient, BIND());
XLA_FFI_DEFINE_HANDLER_SYMBOL(convolution_kernel_gradient, KernelGradient, BIND());
