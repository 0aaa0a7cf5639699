#include "engine/stream.h"

#include "core/check.h"

namespace hachi::engine {

std::optional<TokenEvent> Stream::take() {
  const uint64_t taken = taken_.load(std::memory_order_relaxed);
  if (taken == put_.load(std::memory_order_acquire)) return std::nullopt;
  const TokenEvent event = ring_[taken % ring_.size()];
  taken_.store(taken + 1, std::memory_order_release);
  return event;
}

std::optional<Finish> Stream::finished() const {
  const int why = finish_.load(std::memory_order_acquire);
  if (why == kRunning) return std::nullopt;
  return static_cast<Finish>(why);
}

bool Stream::is_full() const {
  return put_.load(std::memory_order_relaxed) - taken_.load(std::memory_order_acquire) ==
         ring_.size();
}

void Stream::put(const TokenEvent& event) {
  CHECK(!is_full());
  const uint64_t put = put_.load(std::memory_order_relaxed);
  ring_[put % ring_.size()] = event;
  put_.store(put + 1, std::memory_order_release);
}

void Stream::finish(Finish why, const Usage& usage) {
  usage_ = usage;
  finish_.store(static_cast<int>(why), std::memory_order_release);
}

}  // namespace hachi::engine
