// What one key may ask for: requests a minute, tokens a minute, requests at once.
//
// Both rates are token buckets: a bucket holds one minute's worth, starts full and refills evenly.
// A request is admitted if all three limits have room, and takes from all or from none. Tokens are
// taken by estimate and settled when the true count is known; what was used beyond the estimate
// leaves the bucket below zero, and the next requests wait for it.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hachi::server {

// 0: no limit.
struct KeyLimits {
  int64_t requests_per_minute = 0;
  int64_t tokens_per_minute = 0;
  int64_t concurrency = 0;
  bool operator==(const KeyLimits&) const = default;
};

inline constexpr int64_t kMaxLimit = 1'000'000'000'000;  // counts stay exact in a double

enum class LimitKind { kRequests, kTokens, kConcurrency };

// "requests", "tokens" or "concurrency", as the label of a metric.
std::string_view to_string(LimitKind kind);

// Why a request was not admitted; it took nothing.
struct Refusal {
  LimitKind limit;
  // When to come again; absent if the request alone is more than the limit ever admits.
  std::optional<std::chrono::milliseconds> retry_after;
  std::string message;  // one sentence for the client
};

// Where a bucket stands.
struct BucketState {
  int64_t limit = 0;
  int64_t remaining = 0;              // whole ones that could be had now
  std::chrono::milliseconds reset{};  // until the bucket is full again
};

// Of the limits that the key has.
struct LimitState {
  std::optional<BucketState> requests;
  std::optional<BucketState> tokens;
};

class RateLimiter;

// An admitted request's hold on its key. Whoever has it last gives back the concurrency. Move-only;
// one thread at a time.
class Lease {
 public:
  Lease(Lease&& other) noexcept = default;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  // The tokens that were really used until now, prompt and answer; each call replaces the one
  // before. A lease that ends unsettled gives its estimate back: nothing was run.
  void settle(int64_t tokens);

 private:
  friend class RateLimiter;
  Lease(std::shared_ptr<RateLimiter> limiter, int64_t tokens);
  void end();

  std::shared_ptr<RateLimiter> limiter_;  // null when moved from
  int64_t charged_;
  bool settled_ = false;
};

// Any thread may call it. Held by shared_ptr, so that leases outlive the key that they came from.
class RateLimiter : public std::enable_shared_from_this<RateLimiter> {
 public:
  using Clock = std::chrono::steady_clock;

  // `now` is asked under the lock; tests put a clock of their own there.
  explicit RateLimiter(const KeyLimits& limits,
                       std::function<Clock::time_point()> now = &Clock::now);

  // `estimated_tokens`: of the prompt, and what the answer may take.
  std::variant<Lease, Refusal> admit(int64_t estimated_tokens);

  const KeyLimits& limits() const { return limits_; }
  LimitState state();
  int64_t running();  // leases that are out

 private:
  friend class Lease;
  struct Bucket {
    double capacity = 0;  // one minute's worth; 0: no limit
    double level = 0;     // at most capacity; below 0 after an estimate that was too low
    std::chrono::duration<double> wait_for(double amount) const;
    BucketState state() const;
  };

  void refill();
  void settle(int64_t charged, int64_t used);
  void release();

  const KeyLimits limits_;
  const std::function<Clock::time_point()> now_;
  std::mutex mutex_;  // guards all below
  Clock::time_point refilled_;
  Bucket requests_, tokens_;
  int64_t running_ = 0;
};

// OpenAI's x-ratelimit-{limit,remaining,reset}-{requests,tokens}, of the limits that there are.
std::vector<std::pair<std::string_view, std::string>> rate_limit_headers(const LimitState& state);

// A duration as those headers have it: "20ms", "1s", "1.5s", "6m0s", "1h0m30s".
std::string format_reset(std::chrono::milliseconds time);

// Retry-After: whole seconds, at least 1; empty if there is no use in coming again.
std::string retry_after_header(const Refusal& refusal);

}  // namespace hachi::server
