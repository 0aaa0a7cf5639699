// Visit: one exchange on its way through the server: who asks, how answers and errors are sent, and
// what is logged and counted of it.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "api/error.h"
#include "net/exchange.h"
#include "server/caller.h"
#include "server/rate_limit.h"

namespace hachi::server {

// Whose shape errors have.
enum class ErrorStyle { kOpenAi, kAnthropic };

// On the connection's thread.
class Visit final : public Caller {
 public:
  Visit(App& app, net::Exchange& exchange);
  // Counts and logs it.
  ~Visit() override;

  net::Exchange& exchange() { return exchange_; }

  // The pattern of the route, for the metrics, and the shape of its errors.
  void set_route(std::string_view pattern, ErrorStyle style);
  // The key of the request, if the server asks for keys. False: there is none, or a wrong one.
  bool identify();

  std::optional<api::ApiError> admit() override;
  void settle(int64_t tokens) override;
  bool has_room(const ServedModel&, int64_t) const override { return true; }  // the engine says
  bool takes_streams() const override { return true; }
  std::chrono::seconds timeout() const override { return app().options().request_timeout; }
  bool is_gone() const override { return exchange_.client_gone(); }
  void on_gone(std::function<void()> callback) override {
    exchange_.on_client_gone(std::move(callback));
  }

  // One more of the answer.
  void add_header(std::string name, std::string value) {
    more_headers_.set(std::move(name), std::move(value));
  }
  net::awaitable<void> send(int status, std::string_view content_type, std::string body);
  net::awaitable<void> send_json(std::string body) {
    return send(200, "application/json", std::move(body));
  }
  net::awaitable<void> send_error(const api::ApiError& error);
  // A JSON body or an error; nothing to who has gone.
  net::awaitable<void> send_result(api::ApiResult<std::string> result);
  net::awaitable<void> send_response(net::HttpResponse response);
  // The head of a stream.
  net::awaitable<bool> begin_stream(net::Headers headers);
  // The same of events.
  net::awaitable<bool> begin_events();

 private:
  void add_headers(net::Headers& headers) const;
  std::string_view user_name() const override { return exchange_.request().peer; }
  int64_t base_priority() const override { return 0; }

  net::Exchange& exchange_;
  std::string_view route_ = "other";
  ErrorStyle style_ = ErrorStyle::kOpenAi;
  std::optional<Lease> lease_;
  std::string retry_after_ = "1";  // seconds, for answers of 429 and 503; empty: never
  net::Headers more_headers_;
  int status_ = 0;
};

// The key that the request presents; null if it is none of `ring`.
const Key* find_key(const KeyRing& ring, const net::HttpRequest& request);

}  // namespace hachi::server
