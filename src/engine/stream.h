// Stream: the tokens of one request on their way from the engine to one reader. A ring between one
// writer and one reader: neither ever waits for the other or takes a lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/request.h"

namespace hachi::engine {

class Stream {
 public:
  // Holds up to `capacity` events that the reader has not taken; the engine does not go on with a
  // request whose stream is full. `top_logprobs` as in the request.
  Stream(int64_t capacity, int top_logprobs);

  // ---- The reader's side.

  // The next event; false if there is none now.
  bool take(TokenEvent& event);
  // Why the answer ended; none while more may come. All events are there by then.
  std::optional<Finish> finished() const;
  // Valid once finished.
  const Usage& usage() const { return usage_; }
  // When the prompt began to run, and how many of its tokens the cache held; none before.
  std::optional<Clock::time_point> started() const;
  int64_t cached_tokens() const { return cached_.load(std::memory_order_relaxed); }
  // The pooled hidden states [C], if they were asked for; valid once finished.
  std::span<const float> embedding() const { return embedding_; }
  // The reader wants no more: the request ends within one step.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  // Whether there is an event to take, or the end has come.
  bool has_news() const;

  // ---- The engine's side.

  void start(int64_t cached_tokens);
  int64_t room() const;               // events that still fit
  void put(const TokenEvent& event);  // only if there is room
  void finish(Finish why, const Usage& usage, std::vector<float> embedding = {});
  bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  static constexpr int kRunning = -1;

  size_t capacity_;
  size_t num_logprobs_;                 // of an event: its own and the most likely ones'
  std::vector<int32_t> tokens_;         // [capacity]
  std::vector<TokenLogprob> logprobs_;  // [capacity, num_logprobs]
  std::atomic<uint64_t> put_{0};
  std::atomic<uint64_t> taken_{0};
  std::atomic<Clock::rep> started_{0};  // since the clock's epoch; 0: not yet
  std::atomic<int64_t> cached_{0};
  std::atomic<int> finish_{kRunning};
  std::atomic<bool> cancelled_{false};
  Usage usage_;  // written before finish_
  std::vector<float> embedding_;
};

}  // namespace hachi::engine
