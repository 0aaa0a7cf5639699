#include "cli/interrupt.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <utility>

namespace hachi::cli {
namespace {

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP};

std::atomic<bool> g_requested = false;
bool g_has_guard = false;                               // of the main thread
static_assert(std::atomic<bool>::is_always_lock_free);  // so a signal handler may write it

extern "C" void note_signal(int) { g_requested = true; }

}  // namespace

InterruptGuard::InterruptGuard() : is_outermost_(!std::exchange(g_has_guard, true)) {
  if (!is_outermost_) return;
  g_requested = false;
  struct sigaction note {};
  note.sa_handler = note_signal;  // without SA_RESTART: a blocked call returns with EINTR
  for (size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &note, nullptr);
  }
}

InterruptGuard::~InterruptGuard() {
  if (!is_outermost_) return;
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  g_requested = false;
  g_has_guard = false;
}

bool InterruptGuard::requested() { return g_requested; }

const std::atomic<bool>& InterruptGuard::flag() { return g_requested; }

}  // namespace hachi::cli
