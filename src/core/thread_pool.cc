#include "core/thread_pool.h"

#include <algorithm>
#include <sched.h>

#include "core/check.h"

namespace hachi::inline core {
namespace {

// How often to look at a flag before sleeping on it: some 20 microseconds, longer than the gap
// between two ops of a forward pass and far shorter than a time slice.
constexpr int kSpins = 2000;

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `flag` differs from `old`.
template <class T>
void wait_change(const std::atomic<T>& flag, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (flag.load(std::memory_order_acquire) != old) return;
    pause_cpu();
  }
  flag.wait(old, std::memory_order_acquire);
}

// Binds the calling thread. Where the system refuses, it runs on as it was.
void bind_to(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}

}  // namespace

ThreadPool::ThreadPool(int num_threads, Pinning pinning) : num_threads_(std::max(1, num_threads)) {
  const Processors processors = pinning == Pinning::kCores ? allowed_processors() : Processors();
  const bool pinned = num_threads_ <= processors.cores;
  threads_.reserve(static_cast<size_t>(num_threads_ - 1));
  for (int i = 1; i < num_threads_; ++i) {
    threads_.emplace_back([this, i, to = pinned ? processors.ids[static_cast<size_t>(i)] : -1] {
      if (to >= 0) bind_to(to);
      work(i);
    });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::run(int64_t count, int64_t grain, Function function, const void* context) {
  CHECK_GT(grain, 0);
  if (count <= 0) return;
  if (num_threads_ == 1 || count <= grain) {
    function(context, 0, count);
    return;
  }
  job_ = {function, context, count, grain};
  unfinished_.store(num_threads_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  run_part(0);
  for (int left = unfinished_.load(std::memory_order_acquire); left != 0;
       left = unfinished_.load(std::memory_order_acquire)) {
    wait_change(unfinished_, left);
  }
}

void ThreadPool::run_part(int thread) const {
  const int64_t grains = (job_.count + job_.grain - 1) / job_.grain;
  const int64_t begin = grains * thread / num_threads_ * job_.grain;
  const int64_t end = std::min(grains * (thread + 1) / num_threads_ * job_.grain, job_.count);
  if (begin < end) job_.function(job_.context, begin, end);
}

void ThreadPool::work(int thread) {
  uint32_t seen = 0;
  while (true) {
    wait_change(generation_, seen);
    ++seen;
    if (stopping_.load(std::memory_order_relaxed)) return;
    run_part(thread);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  }
}

}  // namespace hachi::inline core
