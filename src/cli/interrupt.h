// Ctrl-C while files are half written: noted instead of deadly, so that the work in hand can stop,
// clean up and say so.
#pragma once

#include <csignal>

namespace hachi::cli {

// While one lives, SIGINT, SIGTERM and SIGHUP only set a flag; a signal that was ignored before
// stays ignored. One at a time, on the main thread.
class InterruptGuard {
 public:
  InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
  ~InterruptGuard();

  // True once a signal came while a guard lives. Safe to ask from any thread.
  static bool requested();

 private:
  struct sigaction before_[3];
};

}  // namespace hachi::cli
