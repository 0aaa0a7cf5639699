#include "engine/stream.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace hachi::engine {

Stream::Stream(int64_t capacity, int top_logprobs)
    : capacity_(static_cast<size_t>(capacity)),
      num_logprobs_(static_cast<size_t>(top_logprobs + 1)),
      tokens_(capacity_),
      logprobs_(capacity_ * num_logprobs_) {
  CHECK(capacity > 0 && top_logprobs >= -1 && top_logprobs <= kMaxTopLogprobs);
}

bool Stream::take(TokenEvent& event) {
  const uint64_t taken = taken_.load(std::memory_order_relaxed);
  if (taken == put_.load(std::memory_order_acquire)) return false;
  const size_t place = taken % capacity_;
  event.chosen = {tokens_[place], 0};
  event.num_top = 0;
  if (num_logprobs_ > 0) {
    const TokenLogprob* logprobs = &logprobs_[place * num_logprobs_];
    event.chosen = logprobs[0];
    event.num_top = static_cast<int>(num_logprobs_) - 1;
    std::copy(logprobs + 1, logprobs + num_logprobs_, event.top.begin());
  }
  taken_.store(taken + 1, std::memory_order_release);
  return true;
}

std::optional<Clock::time_point> Stream::started() const {
  const Clock::rep since_epoch = started_.load(std::memory_order_acquire);
  if (since_epoch == 0) return std::nullopt;
  return Clock::time_point(Clock::duration(since_epoch));
}

void Stream::start(int64_t cached_tokens) {
  cached_.store(cached_tokens, std::memory_order_relaxed);
  started_.store(Clock::now().time_since_epoch().count(), std::memory_order_release);
}

std::optional<Finish> Stream::finished() const {
  const int why = finish_.load(std::memory_order_acquire);
  if (why == kRunning) return std::nullopt;
  return static_cast<Finish>(why);
}

bool Stream::has_news() const {
  return put_.load(std::memory_order_acquire) != taken_.load(std::memory_order_relaxed) ||
         finish_.load(std::memory_order_acquire) != kRunning;
}

int64_t Stream::room() const {
  const uint64_t used =
      put_.load(std::memory_order_relaxed) - taken_.load(std::memory_order_acquire);
  return static_cast<int64_t>(capacity_ - used);
}

void Stream::put(const TokenEvent& event) {
  CHECK(room() > 0);
  const uint64_t put = put_.load(std::memory_order_relaxed);
  const size_t place = put % capacity_;
  tokens_[place] = event.chosen.token;
  if (num_logprobs_ > 0) {
    TokenLogprob* logprobs = &logprobs_[place * num_logprobs_];
    logprobs[0] = event.chosen;
    std::copy_n(event.top.begin(), num_logprobs_ - 1, logprobs + 1);
  }
  put_.store(put + 1, std::memory_order_release);
}

void Stream::finish(Finish why, const Usage& usage, std::vector<float> embedding) {
  usage_ = usage;
  embedding_ = std::move(embedding);
  finish_.store(static_cast<int>(why), std::memory_order_release);
}

}  // namespace hachi::engine
