// Work in the threads of XLA.

#ifndef STN_JAX_PARALLEL_H_
#define STN_JAX_PARALLEL_H_

#include <algorithm>
#include <cstdint>
#include <utility>

#include "xla/ffi/api/ffi.h"

// Calls body(first, last) on parts of 0..count, in the threads of XLA. The caller works on a part
// too, but does not wait for the others: it may be one of the threads that they need.
template <typename Body>
xla::ffi::Future InParallel(xla::ffi::ThreadPool threads, int64_t count, int64_t work_each,
                            Body body) {
  const int64_t worth = count * work_each / 16384;
  const int64_t most = std::min(count, 4 * threads.num_threads());
  const int64_t parts = std::max<int64_t>(1, std::min(worth, most));
  xla::ffi::CountDownPromise done(parts);
  xla::ffi::Future future(done);
  for (int64_t part = parts - 1; part >= 0; --part) {
    auto run = [=]() mutable {
      body(part * count / parts, (part + 1) * count / parts);
      done.CountDown();
    };
    if (part > 0) {
      threads.Schedule(std::move(run));
    } else {
      run();
    }
  }
  return future;
}

#endif  // STN_JAX_PARALLEL_H_
