#include "server/rate_limit.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

namespace hachi::server {
namespace {

using namespace std::chrono_literals;

// A limiter whose clock stands still until it is told otherwise.
class RateLimit : public testing::Test {
 protected:
  std::shared_ptr<RateLimiter> limiter(const KeyLimits& limits) {
    return std::make_shared<RateLimiter>(limits, [this] { return now_; });
  }

  const RateLimiter::Clock::time_point start_{1000h};
  RateLimiter::Clock::time_point now_ = start_;
};

std::optional<Lease> admitted(std::variant<Lease, Refusal> answer) {
  if (auto* lease = std::get_if<Lease>(&answer)) return std::move(*lease);
  return std::nullopt;
}

Refusal refused(std::variant<Lease, Refusal> answer) {
  if (auto* refusal = std::get_if<Refusal>(&answer)) return std::move(*refusal);
  ADD_FAILURE() << "the request was admitted";
  return {};
}

TEST_F(RateLimit, NoLimitsAdmitAll) {
  const auto open = limiter({});
  std::vector<Lease> leases;
  for (int i = 0; i < 1000; ++i) leases.push_back(*admitted(open->admit(INT64_MAX)));
  EXPECT_EQ(open->running(), 1000);
  leases.clear();
  EXPECT_EQ(open->running(), 0);
  EXPECT_TRUE(rate_limit_headers(open->state()).empty());
}

TEST_F(RateLimit, RequestsRefillEvenly) {
  const auto key = limiter({.requests_per_minute = 3});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admitted(key->admit(5)));
  const Refusal refusal = refused(key->admit(5));
  EXPECT_EQ(refusal.limit, LimitKind::kRequests);
  EXPECT_EQ(refusal.retry_after, 20s);
  EXPECT_EQ(refusal.message,
            "rate limit reached: this key has 3 requests a minute; try again in 20s");
  EXPECT_EQ(retry_after_header(refusal), "20");
  now_ += 19999ms;
  EXPECT_EQ(refused(key->admit(5)).retry_after, 1ms);
  now_ += 1ms;
  EXPECT_TRUE(admitted(key->admit(5)));
  EXPECT_FALSE(admitted(key->admit(5)));
  now_ += 24h;  // a bucket holds one minute's worth, however long nobody came
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(admitted(key->admit(5)));
  EXPECT_FALSE(admitted(key->admit(5)));
}

TEST_F(RateLimit, WhoeverComesWhenToldIsAdmitted) {
  for (const int64_t limit : {1, 7, 60, 997, 1'000'003}) {
    const auto key = limiter({.tokens_per_minute = limit});
    int64_t used = 0;
    for (int64_t i = 0; i < 50; ++i) {
      const int64_t tokens = 1 + (limit - 1) * (i * 37 % 50) / 50;
      std::optional<Lease> lease = admitted(key->admit(tokens));
      if (!lease) {
        now_ += *refused(key->admit(tokens)).retry_after;
        lease = admitted(key->admit(tokens));
      }
      ASSERT_TRUE(lease) << tokens << " of " << limit;
      lease->settle(tokens);
      used += tokens;
    }
    // Never more than a full bucket and what flowed in since.
    const double minutes = std::chrono::duration<double>(now_ - start_).count() / 60;
    EXPECT_LE(static_cast<double>(used), static_cast<double>(limit) * (1 + minutes) + 1e-3);
  }
}

TEST_F(RateLimit, TokensAreSettled) {
  const auto key = limiter({.tokens_per_minute = 600});
  const auto remaining = [&] { return key->state().tokens->remaining; };
  {
    std::optional<Lease> lease = admitted(key->admit(500));
    EXPECT_EQ(remaining(), 100);
    const Refusal refusal = refused(key->admit(200));
    EXPECT_EQ(refusal.limit, LimitKind::kTokens);
    EXPECT_EQ(refusal.retry_after, 10s);
    lease->settle(50);
    EXPECT_EQ(remaining(), 550);
    lease->settle(120);  // replaces the 50
    EXPECT_EQ(remaining(), 480);
  }
  EXPECT_EQ(remaining(), 480);
  { const std::optional<Lease> unused = admitted(key->admit(480)); }
  EXPECT_EQ(remaining(), 480);
  // An estimate that was far too low leaves a debt of 720 tokens, which take 72 seconds.
  admitted(key->admit(10))->settle(1200);
  EXPECT_EQ(remaining(), 0);
  EXPECT_EQ(key->state().tokens->reset, 132s);
  EXPECT_EQ(refused(key->admit(60)).retry_after, 78s);
  now_ += 78s;
  EXPECT_TRUE(admitted(key->admit(60)));
}

TEST_F(RateLimit, ARequestBeyondTheBucketDoesNotWait) {
  const auto key = limiter({.tokens_per_minute = 600});
  const Refusal refusal = refused(key->admit(601));
  EXPECT_FALSE(refusal.retry_after);
  EXPECT_EQ(retry_after_header(refusal), "");
  EXPECT_NE(refusal.message.find("601 tokens"), std::string::npos);
  EXPECT_NE(refusal.message.find("waiting will not help"), std::string::npos);
  EXPECT_TRUE(admitted(key->admit(600)));
}

TEST_F(RateLimit, ConcurrencyComesBackWithTheLastHolder) {
  const auto key = limiter({.concurrency = 1});
  std::optional<Lease> first = admitted(key->admit(1));
  EXPECT_EQ(refused(key->admit(1)).limit, LimitKind::kConcurrency);
  Lease second = std::move(*first);
  first.reset();  // an empty one: gives nothing back
  EXPECT_FALSE(admitted(key->admit(1)));
  std::weak_ptr<RateLimiter> alive;
  {
    const auto other = limiter({.concurrency = 1});
    alive = other;
    second = *admitted(other->admit(1));  // gives back the one it had
  }
  EXPECT_TRUE(admitted(key->admit(1)));
  EXPECT_FALSE(alive.expired());  // a lease outlives the key
}

TEST_F(RateLimit, ARefusalTakesNothing) {
  const auto key = limiter({.requests_per_minute = 10, .tokens_per_minute = 100, .concurrency = 2});
  const std::optional<Lease> lease = admitted(key->admit(90));
  EXPECT_FALSE(admitted(key->admit(11)));
  EXPECT_EQ(key->state().requests->remaining, 9);
  EXPECT_EQ(key->state().tokens->remaining, 10);
  EXPECT_EQ(key->running(), 1);
}

TEST_F(RateLimit, HeadersAreOpenAis) {
  const auto key = limiter({.requests_per_minute = 60, .tokens_per_minute = 6000});
  const std::optional<Lease> lease = admitted(key->admit(100));
  const std::vector<std::pair<std::string_view, std::string>> expected = {
      {"x-ratelimit-limit-requests", "60"},     {"x-ratelimit-remaining-requests", "59"},
      {"x-ratelimit-reset-requests", "1s"},     {"x-ratelimit-limit-tokens", "6000"},
      {"x-ratelimit-remaining-tokens", "5900"}, {"x-ratelimit-reset-tokens", "1s"}};
  EXPECT_EQ(rate_limit_headers(key->state()), expected);
}

TEST(RateLimitReset, HasTheFormOfGoDurations) {
  EXPECT_EQ(format_reset(-5ms), "0s");
  EXPECT_EQ(format_reset(0ms), "0s");
  EXPECT_EQ(format_reset(20ms), "20ms");
  EXPECT_EQ(format_reset(1s), "1s");
  EXPECT_EQ(format_reset(1500ms), "1.5s");
  EXPECT_EQ(format_reset(6min), "6m0s");
  EXPECT_EQ(format_reset(1h + 30s + 20ms), "1h0m30.02s");
}

TEST(RateLimitThreads, NeverAdmitMoreThanTheLimit) {
  const auto key =
      std::make_shared<RateLimiter>(KeyLimits{.requests_per_minute = 2000, .concurrency = 3},
                                    [] { return RateLimiter::Clock::time_point(); });
  std::atomic<int> admissions{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const std::optional<Lease> lease = admitted(key->admit(1));
        if (!lease) continue;
        EXPECT_LE(key->running(), 3);
        ++admissions;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(key->running(), 0);
  EXPECT_LE(admissions.load(), 2000);
  EXPECT_EQ(key->state().requests->remaining, 2000 - admissions.load());
}

}  // namespace
}  // namespace hachi::server
