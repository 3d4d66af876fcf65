// Work in the threads of XLA.

#ifndef STN_JAX_PARALLEL_H_
#define STN_JAX_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "xla/ffi/api/ffi.h"

// Calls body(first, last) on parts of 0..count, here and in the threads of XLA, each of which takes
// the next part when it is done with one. Returns when all are done: what is left to wait for then is
// at most one part of each thread, and shorter than waking up whoever would wait for a promise. A
// thread that did not come in time is not waited for: the caller may be the one that it needs.
template <typename Body>
void InParallel(xla::ffi::ThreadPool threads, int64_t count, int64_t work_each, Body body) {
  const int64_t worth = count * work_each / 16384;
  const int64_t most = std::min(count, 8 * threads.num_threads());
  const int64_t parts = std::max<int64_t>(1, std::min(worth, most));
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
