// A fork-join pool: one job at a time, cut into one contiguous range a thread. The caller is thread
// 0. How work is cut never changes a result, because no sum crosses a range.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace hachi::inline core {

class ThreadPool {
 public:
  // `num_threads` counts the caller; 1 means that no thread is started.
  explicit ThreadPool(int num_threads);
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
  void work(int thread);

  int num_threads_;
  Job job_;  // written by the caller before `generation_` is raised
  std::atomic<uint32_t> generation_{0};
  std::atomic<int> unfinished_{0};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

// Threads that this process may use: the affinity mask cut down to the cgroup's CPU quota.
int usable_cpus();

}  // namespace hachi::inline core
