#include "server/visit.h"

#include <utility>

#include "server/origins.h"

namespace hachi::server {

const Key* find_key(const KeyRing& ring, const net::HttpRequest& request) {
  return ring.find(presented_key(request.headers.find("authorization").value_or(""),
                                 request.headers.find("x-api-key").value_or("")));
}

Visit::Visit(App& app, net::Exchange& exchange)
    : Caller(app, app.hub_of(exchange), exchange.executor()), exchange_(exchange) {}

Visit::~Visit() {
  const int status = exchange_.client_gone() && status_ == 0 ? 499 : status_;
  app().metrics().count_request(route_, status);
  if (app().log() == nullptr) return;
  const CallerNotes& known = notes();
  const std::chrono::duration<double, std::milli> ms = Clock::now() - start();
  const net::HttpRequest& request = exchange_.request();
  const std::string request_id = fmt::format("req_{}", id());
  app().log()->write({.time = time(),
                      .client = request.peer,
                      .key = key() == nullptr ? std::string_view() : key()->name,
                      .method = request.method,
                      .path = request.path,
                      .status = status,
                      .ms = ms.count(),
                      .model = known.model,
                      .prompt_tokens = known.prompt_tokens,
                      .cached_tokens = known.cached_tokens,
                      .completion_tokens = known.completion_tokens,
                      .ttft_ms = known.ttft_ms,
                      .finish = exchange_.client_gone() ? "client_gone" : known.finish,
                      .request_id = request_id,
                      .error = known.error,
                      .stream = known.stream,
                      .prompt = known.prompt,
                      .answer = known.answer});
}

void Visit::set_route(std::string_view pattern, ErrorStyle style) {
  route_ = pattern;
  style_ = style;
}

bool Visit::identify() {
  auto ring = app().keys().get();
  const Key* key = ring ? find_key(*ring, exchange_.request()) : nullptr;
  const bool may_ask = !ring || key != nullptr;
  set_key(std::move(ring), key);
  return may_ask;
}

std::optional<api::ApiError> Visit::admit() {
  if (key() == nullptr) return std::nullopt;
  constexpr int64_t kBytesPerToken = 4;  // of English; what was really used is settled later
  const auto bytes = static_cast<int64_t>(exchange_.request().body.size());
  auto admitted = key()->limiter->admit(1 + bytes / kBytesPerToken);
  if (auto* lease = std::get_if<Lease>(&admitted)) {
    lease_.emplace(std::move(*lease));
    return std::nullopt;
  }
  const Refusal& refusal = std::get<Refusal>(admitted);
  app().metrics().count_rejected(to_string(refusal.limit));
  // None: the limit will never admit it, and there is no use in coming again.
  retry_after_ = retry_after_header(refusal);
  return api::ApiError{429, refusal.message, "", "rate_limit_exceeded"};
}

void Visit::settle(int64_t tokens) {
  if (lease_) lease_->settle(tokens);
}

void Visit::add_headers(net::Headers& headers) const {
  headers.add("x-request-id", fmt::format("req_{}", id()));
  headers.add("X-Content-Type-Options", "nosniff");
  add_cors_headers(headers, exchange_.request(), app().options().cors_origins);
  for (const net::Header& one : more_headers_) headers.set(one.name, one.value);
  if (key() == nullptr) return;
  for (auto& [name, value] : rate_limit_headers(key()->limiter->state())) {
    headers.add(std::string(name), std::move(value));
  }
}

net::awaitable<void> Visit::send(int status, std::string_view content_type, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.headers.add("Content-Type", std::string(content_type));
  response.body = std::move(body);
  return send_response(std::move(response));
}

net::awaitable<void> Visit::send_response(net::HttpResponse response) {
  status_ = response.status;
  add_headers(response.headers);
  const bool is_busy = status_ == 429 || status_ == 503;
  if (is_busy && !retry_after_.empty()) response.headers.set("Retry-After", retry_after_);
  co_await exchange_.send(std::move(response));
}

net::awaitable<void> Visit::send_error(const api::ApiError& error) {
  notes().error = fmt::format("{}", error.code.empty() ? std::to_string(error.status) : error.code);
  std::string body;
  if (style_ == ErrorStyle::kAnthropic) {
    api::append_anthropic_error(body, error);
  } else {
    api::append_openai_error(body, error);
  }
  return send(error.status, "application/json", std::move(body));
}

net::awaitable<void> Visit::send_result(api::ApiResult<std::string> result) {
  if (is_gone()) co_return;
  if (!result) co_return co_await send_error(std::move(result).error());
  co_await send_json(*std::move(result));
}

net::awaitable<bool> Visit::begin_stream(net::Headers headers) {
  status_ = 200;
  add_headers(headers);
  co_return co_await exchange_.begin_stream(200, headers);
}

net::awaitable<bool> Visit::begin_events() {
  net::Headers headers;
  headers.add("Content-Type", "text/event-stream; charset=utf-8");
  headers.add("Cache-Control", "no-cache");
  headers.add("X-Accel-Buffering", "no");  // proxies that buffer would hold the tokens back
  return begin_stream(std::move(headers));
}

}  // namespace hachi::server
