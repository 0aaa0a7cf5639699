// Visit: one exchange on its way through the server: who asks, how answers and errors are sent, and
// what is logged and counted of it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/error.h"
#include "net/exchange.h"
#include "server/api_keys.h"
#include "server/app.h"
#include "server/rate_limit.h"

namespace hachi::server {

// Whose shape errors have.
enum class ErrorStyle { kOpenAi, kAnthropic };

// What becomes known of a request as it is worked on.
struct VisitNotes {
  std::string model;
  std::optional<int64_t> prompt_tokens, cached_tokens, completion_tokens;
  std::optional<double> ttft_ms;
  std::string finish;
  std::string error;  // a short code
  std::optional<bool> stream;
  std::string prompt, answer;  // only if the log wants text
};

// On the connection's thread.
class Visit {
 public:
  using Clock = std::chrono::steady_clock;

  Visit(App& app, net::Exchange& exchange);
  // Counts and logs it.
  ~Visit();
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;

  App& app() { return app_; }
  net::Exchange& exchange() { return exchange_; }
  NewsHub& hub() { return hub_; }
  // For the ids of answers: nobody else has it.
  const std::string& id() const { return id_; }
  Clock::time_point start() const { return start_; }
  int64_t created() const;  // seconds since 1970
  VisitNotes& notes() { return notes_; }

  // The pattern of the route, for the metrics, and the shape of its errors.
  void set_route(std::string_view pattern, ErrorStyle style);
  // The key of the request, if the server asks for keys. False: there is none, or a wrong one.
  bool identify();
  // Takes the request from the key's limits. An error if they are reached.
  std::optional<api::ApiError> admit();
  // What the request really used.
  void settle(int64_t tokens);

  // For the engine: who shares fairly, whose prefixes are apart, who goes first.
  uint64_t user() const;
  uint64_t salt(std::string_view cache_salt) const;
  int priority() const { return key_ == nullptr ? 0 : key_->priority; }

  // One more of the answer.
  void add_header(std::string name, std::string value) {
    more_headers_.set(std::move(name), std::move(value));
  }
  net::awaitable<void> send(int status, std::string_view content_type, std::string body);
  net::awaitable<void> send_json(std::string body) {
    return send(200, "application/json", std::move(body));
  }
  net::awaitable<void> send_error(api::ApiError error);
  net::awaitable<void> send_response(net::HttpResponse response);
  // The head of a stream of events.
  net::awaitable<bool> begin_events();

 private:
  void add_headers(net::Headers& headers) const;

  App& app_;
  net::Exchange& exchange_;
  NewsHub& hub_;
  Clock::time_point start_ = Clock::now();
  std::chrono::system_clock::time_point time_ = std::chrono::system_clock::now();
  std::string id_;
  std::string_view route_ = "other";
  ErrorStyle style_ = ErrorStyle::kOpenAi;
  std::shared_ptr<const KeyRing> ring_;
  const Key* key_ = nullptr;  // of ring_
  std::optional<Lease> lease_;
  net::Headers more_headers_;
  int status_ = 0;
  VisitNotes notes_;
};

// The key that the request presents; null if it is none of `ring`.
const Key* find_key(const KeyRing& ring, const net::HttpRequest& request);

}  // namespace hachi::server
