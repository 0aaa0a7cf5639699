// A fork-join pool: one job at a time, cut into one contiguous range a thread. The caller is thread
// 0. How work is cut never changes a result, because no sum crosses a range.
//
// Each thread runs its own range. When the caller is done with its own it runs those that no thread
// has begun: on a busy machine a thread may get no processor for milliseconds, and nobody waits for
// one that holds no work.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "core/processors.h"

namespace hachi::inline core {

// Where the threads of a pool run. kFree: where the system puts them. kCores: each thread but the
// caller stays on a core of its own, the second of those allowed, the third ...; so two such pools
// at work would take turns on the same cores. The caller stays free, as its children and other
// pools would inherit where it is bound; the first core is what is left to it. With more threads
// than cores it is as kFree.
enum class Pinning { kFree, kCores };

class ThreadPool {
 public:
  // `num_threads` counts the caller; 1 means that no thread is started.
  explicit ThreadPool(int num_threads, Pinning pinning = Pinning::kFree);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return num_threads_; }

  // Calls body(begin, end) on disjoint ranges that cover [0, count), and returns when all are done.
  // Each range but the last starts and ends at a multiple of `grain`. One caller at a time; the
  // body must not throw, nor use the pool.
  template <class Body>
  void parallel_for(int64_t count, int64_t grain, const Body& body) {
    run(
        count, grain,
        [](const void* context, int64_t begin, int64_t end) {
          (*static_cast<const Body*>(context))(begin, end);
        },
        &body);
  }

 private:
  using Function = void (*)(const void* context, int64_t begin, int64_t end);

  struct Job {
    Function function = nullptr;
    const void* context = nullptr;
    int64_t count = 0;
    int64_t grain = 1;
  };

  void run(int64_t count, int64_t grain, Function function, const void* context);
  void run_part(int thread) const;
  bool take_part(int thread, uint32_t generation);
  void finish_part();
  void work(int thread);

  // The last job of which a thread's range was taken: its own line, as it is written in each job.
  struct alignas(64) Taken {
    std::atomic<uint32_t> generation{0};
  };

  int num_threads_;
  Job job_;  // written by the caller before `generation_` is raised
  std::atomic<uint32_t> generation_{0};
  std::atomic<int> unfinished_{0};
  std::atomic<bool> stopping_{false};
  std::unique_ptr<Taken[]> taken_;
  std::vector<std::thread> threads_;
};

}  // namespace hachi::inline core
