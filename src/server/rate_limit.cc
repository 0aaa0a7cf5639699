#include "server/rate_limit.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/check.h"

namespace hachi::server {
namespace {

using std::chrono::milliseconds;
using Seconds = std::chrono::duration<double>;

constexpr double kMinute = 60;  // seconds
// Below what a sum of refills can miss by, and far below one token.
constexpr double kSlack = 1e-6;
// When a lease will be given back is not known; the shortest time that Retry-After can say.
constexpr milliseconds kConcurrencyRetry{1000};

milliseconds round_up(Seconds time) {
  return milliseconds(static_cast<int64_t>(std::ceil(std::max(0.0, time.count()) * 1000 - kSlack)));
}

Refusal come_again(LimitKind kind, int64_t limit, std::string_view what, milliseconds after) {
  return {kind, after,
          fmt::format("rate limit reached: this key has {} {}; try again in {}", limit, what,
                      format_reset(after))};
}

}  // namespace

std::string_view to_string(LimitKind kind) {
  switch (kind) {
    case LimitKind::kRequests:
      return "requests";
    case LimitKind::kTokens:
      return "tokens";
    case LimitKind::kConcurrency:
      return "concurrency";
  }
  return "other";
}

Lease::Lease(std::shared_ptr<RateLimiter> limiter, int64_t tokens)
    : limiter_(std::move(limiter)), charged_(tokens) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    end();
    limiter_ = std::move(other.limiter_);
    charged_ = other.charged_;
    settled_ = other.settled_;
  }
  return *this;
}

Lease::~Lease() { end(); }

void Lease::settle(int64_t tokens) {
  CHECK(limiter_ != nullptr);
  const int64_t used = std::clamp<int64_t>(tokens, 0, kMaxLimit);
  limiter_->settle(charged_, used);
  charged_ = used;
  settled_ = true;
}

void Lease::end() {
  if (!limiter_) return;
  if (!settled_) settle(0);
  limiter_->release();
  limiter_.reset();
}

Seconds RateLimiter::Bucket::wait_for(double amount) const {
  if (capacity == 0 || level + kSlack >= amount) return Seconds(0);
  return Seconds((amount - level) * kMinute / capacity);
}

BucketState RateLimiter::Bucket::state() const {
  return {.limit = static_cast<int64_t>(capacity),
          .remaining = static_cast<int64_t>(std::floor(std::max(0.0, level) + kSlack)),
          .reset = round_up(wait_for(capacity))};
}

RateLimiter::RateLimiter(const KeyLimits& limits, std::function<Clock::time_point()> now)
    : limits_(limits), now_(std::move(now)), refilled_(now_()) {
  requests_.capacity = requests_.level = static_cast<double>(limits.requests_per_minute);
  tokens_.capacity = tokens_.level = static_cast<double>(limits.tokens_per_minute);
}

std::variant<Lease, Refusal> RateLimiter::admit(int64_t estimated_tokens) {
  const int64_t estimate = std::clamp<int64_t>(estimated_tokens, 0, kMaxLimit);
  const auto tokens = static_cast<double>(estimate);
  const std::lock_guard lock(mutex_);
  refill();
  if (limits_.tokens_per_minute > 0 && estimate > limits_.tokens_per_minute) {
    return Refusal{
        LimitKind::kTokens, std::nullopt,
        fmt::format("the request may take {} tokens, prompt and answer, and this key has "
                    "{} a minute: waiting will not help; send a shorter prompt or ask "
                    "for a shorter answer",
                    estimate, limits_.tokens_per_minute)};
  }
  if (limits_.concurrency > 0 && running_ >= limits_.concurrency) {
    return come_again(LimitKind::kConcurrency, limits_.concurrency, "requests at once",
                      kConcurrencyRetry);
  }
  if (const Seconds wait = requests_.wait_for(1); wait.count() > 0) {
    return come_again(LimitKind::kRequests, limits_.requests_per_minute, "requests a minute",
                      round_up(wait));
  }
  if (const Seconds wait = tokens_.wait_for(tokens); wait.count() > 0) {
    return come_again(LimitKind::kTokens, limits_.tokens_per_minute, "tokens a minute",
                      round_up(wait));
  }
  requests_.level -= requests_.capacity > 0 ? 1 : 0;
  tokens_.level -= tokens_.capacity > 0 ? tokens : 0;
  ++running_;
  return Lease(shared_from_this(), estimate);
}

LimitState RateLimiter::state() {
  const std::lock_guard lock(mutex_);
  refill();
  LimitState state;
  if (requests_.capacity > 0) state.requests = requests_.state();
  if (tokens_.capacity > 0) state.tokens = tokens_.state();
  return state;
}

int64_t RateLimiter::running() {
  const std::lock_guard lock(mutex_);
  return running_;
}

void RateLimiter::refill() {
  const Clock::time_point now = now_();
  const double minutes = Seconds(now - refilled_).count() / kMinute;
  refilled_ = now;
  for (Bucket* bucket : {&requests_, &tokens_}) {
    bucket->level = std::min(bucket->capacity, bucket->level + minutes * bucket->capacity);
  }
}

void RateLimiter::settle(int64_t charged, int64_t used) {
  const std::lock_guard lock(mutex_);
  if (tokens_.capacity == 0) return;
  refill();
  tokens_.level = std::min(tokens_.capacity, tokens_.level + static_cast<double>(charged - used));
}

void RateLimiter::release() {
  const std::lock_guard lock(mutex_);
  --running_;
}

std::vector<std::pair<std::string_view, std::string>> rate_limit_headers(const LimitState& state) {
  std::vector<std::pair<std::string_view, std::string>> headers;
  if (const auto& requests = state.requests) {
    headers.emplace_back("x-ratelimit-limit-requests", fmt::to_string(requests->limit));
    headers.emplace_back("x-ratelimit-remaining-requests", fmt::to_string(requests->remaining));
    headers.emplace_back("x-ratelimit-reset-requests", format_reset(requests->reset));
  }
  if (const auto& tokens = state.tokens) {
    headers.emplace_back("x-ratelimit-limit-tokens", fmt::to_string(tokens->limit));
    headers.emplace_back("x-ratelimit-remaining-tokens", fmt::to_string(tokens->remaining));
    headers.emplace_back("x-ratelimit-reset-tokens", format_reset(tokens->reset));
  }
  return headers;
}

std::string format_reset(milliseconds time) {
  const int64_t ms = std::max<int64_t>(0, time.count());
  if (ms == 0) return "0s";
  if (ms < 1000) return fmt::format("{}ms", ms);
  const int64_t hours = ms / 3'600'000;
  const int64_t minutes = ms / 60'000 % 60;
  std::string text;
  if (hours > 0) text += fmt::format("{}h", hours);
  if (hours > 0 || minutes > 0) text += fmt::format("{}m", minutes);
  return text + fmt::format("{}s", static_cast<double>(ms % 60'000) / 1000);
}

std::string retry_after_header(const Refusal& refusal) {
  if (!refusal.retry_after) return {};
  const int64_t seconds = (refusal.retry_after->count() + 999) / 1000;
  return fmt::to_string(std::max<int64_t>(1, seconds));
}

}  // namespace hachi::server
