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

ThreadPool::ThreadPool(int num_threads, Pinning pinning)
    : num_threads_(std::max(1, num_threads)),
      taken_(std::make_unique<Taken[]>(static_cast<size_t>(num_threads_))) {
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
  const uint32_t generation = generation_.fetch_add(1, std::memory_order_release) + 1;
  generation_.notify_all();
  run_part(0);
  for (int i = 1; i < num_threads_ && unfinished_.load(std::memory_order_acquire) != 0; ++i) {
    if (!take_part(i, generation)) continue;
    run_part(i);
    finish_part();
  }
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

// Every range of every job is taken once, so it was last taken in the job before this one; a thread
// that comes late, with an older job in hand, takes nothing. While a range is taken and not
// finished its job stays what it is.
bool ThreadPool::take_part(int thread, uint32_t generation) {
  uint32_t before = generation - 1;
  return taken_[static_cast<size_t>(thread)].generation.compare_exchange_strong(
      before, generation, std::memory_order_acq_rel);
}

void ThreadPool::finish_part() {
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
}

void ThreadPool::work(int thread) {
  uint32_t seen = 0;
  while (true) {
    wait_change(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (!take_part(thread, seen)) continue;
    run_part(thread);
    finish_part();
  }
}

}  // namespace hachi::inline core
