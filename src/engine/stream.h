// Stream: the tokens of one request on their way from the engine's thread to one reader. A ring
// between one writer and one reader: neither ever waits for the other or takes a lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/request.h"

namespace hachi::engine {

class Stream {
 public:
  // Holds up to `capacity` events that the reader has not taken; the engine does not go on with a
  // request whose stream is full.
  explicit Stream(int64_t capacity) : ring_(static_cast<size_t>(capacity)) {}

  // ---- The reader's side.

  // The next event, if there is one.
  std::optional<TokenEvent> take();
  // Why the answer ended; none while more may come. All events before the end are there by then.
  std::optional<Finish> finished() const;
  // Valid once finished.
  const Usage& usage() const { return usage_; }
  // The reader wants no more: the request ends within one step.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

  // ---- The engine's side.

  bool is_full() const;
  void put(const TokenEvent& event);  // only if not full
  void finish(Finish why, const Usage& usage);
  bool is_cancelled() const { return cancelled_.load(std::memory_order_relaxed); }

 private:
  static constexpr int kRunning = -1;

  std::vector<TokenEvent> ring_;
  std::atomic<uint64_t> put_{0};
  std::atomic<uint64_t> taken_{0};
  std::atomic<int> finish_{kRunning};
  std::atomic<bool> cancelled_{false};
  Usage usage_;  // written before finish_
};

}  // namespace hachi::engine
