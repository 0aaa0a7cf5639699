// Ctrl-C while files are half written: noted instead of deadly, so that the work in hand can stop,
// clean up and say so.
#pragma once

#include <atomic>
#include <csignal>

namespace hachi::cli {

// While one lives, SIGINT, SIGTERM and SIGHUP only set a flag; a signal that was ignored before
// stays ignored. On the main thread. One within another changes nothing: the flag is the outer's.
class InterruptGuard {
 public:
  InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  ~InterruptGuard();

  // True once a signal came while a guard lives. Safe to ask from any thread.
  static bool requested();
  // The same, for what waits on a flag.
  static const std::atomic<bool>& flag();

 private:
  bool is_outermost_;
  struct sigaction before_[3];
};

}  // namespace hachi::cli
