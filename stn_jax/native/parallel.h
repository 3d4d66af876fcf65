// Shares out work among the threads of XLA.

#ifndef STN_JAX_PARALLEL_H_
#define STN_JAX_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "xla/ffi/api/ffi.h"

// Calls body(first, last) on parts of 0..count, in this thread and in the threads of XLA. Each
// thread takes the next part when it has finished one. `work_each` estimates the cost of one item.
//
// Returns when all parts are done. It spins until then: at most one part per thread is left, which
// takes less time than waking up a thread that waits for a promise. It never waits for a helper
// that has not started, because the helper may need the very thread that called this function.
template <typename Body>
void InParallel(xla::ffi::ThreadPool threads, int64_t count, int64_t work_each, Body body) {
  // Below a cost of 16384 a part is not worth a thread. Above 8 parts per thread there is no gain.
  const int64_t worth = count * work_each / 16384;
  const int64_t most = std::min(count, 8 * threads.num_threads());
  const int64_t parts = std::max<int64_t>(1, std::min(worth, most));
  // Shared, because a helper may start after this function has returned. It then finds no part
  // left and does not call body.
  struct Progress {
    std::atomic<int64_t> next{0}, done{0};
  };
  auto progress = std::make_shared<Progress>();
  auto work = [=] {
    for (int64_t part; (part = progress->next++) < parts;) {
      body(part * count / parts, (part + 1) * count / parts);
      progress->done++;
    }
  };
  const int64_t helpers = std::min(parts, threads.num_threads()) - 1;
  for (int64_t i = 0; i < helpers; ++i) threads.Schedule(decltype(work)(work));
  work();
  while (progress->done < parts) std::this_thread::yield();
}

#endif  // STN_JAX_PARALLEL_H_
