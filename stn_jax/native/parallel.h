// Work in the threads of XLA.

#ifndef STN_JAX_PARALLEL_H_
#define STN_JAX_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "xla/ffi/api/ffi.h"

// Calls body(first, last) on parts of 0..count, here and in the threads of XLA, each of which takes
// the next part when it is done with one. The caller works most, since it is awake already; but it
// does not wait for the others, since it may be one of the threads that they need.
template <typename Body>
xla::ffi::Future InParallel(xla::ffi::ThreadPool threads, int64_t count, int64_t work_each,
                            Body body) {
  const int64_t worth = count * work_each / 16384;
  const int64_t most = std::min(count, 8 * threads.num_threads());
  const int64_t parts = std::max<int64_t>(1, std::min(worth, most));
  xla::ffi::CountDownPromise done(parts);
  xla::ffi::Future future(done);
  auto next = std::make_shared<std::atomic<int64_t>>(0);
  auto work = [=]() mutable {
    for (int64_t part; (part = (*next)++) < parts;) {
      body(part * count / parts, (part + 1) * count / parts);
      done.CountDown();
    }
  };
  const int64_t helpers = std::min(parts, threads.num_threads()) - 1;
  for (int64_t i = 0; i < helpers; ++i) {
    auto help = work;
    threads.Schedule(std::move(help));
  }
  work();
  return future;
}

#endif  // STN_JAX_PARALLEL_H_
