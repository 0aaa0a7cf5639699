#include "server/visit.h"

#include <atomic>
#include <utility>

#include "core/random.h"
#include "server/origins.h"

namespace hachi::server {
namespace {

std::string fresh_id(uint64_t secret) {
  static std::atomic<uint64_t> count{0};
  const auto number = count.fetch_add(1, std::memory_order_relaxed);
  const auto words = philox4x32({static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32),
                                 static_cast<uint32_t>(secret), 0x1d},
                                {static_cast<uint32_t>(secret >> 32), 0x1d});
  return fmt::format("{:08x}{:08x}{:08x}", words[0], words[1], words[2]);
}

// A hash that nobody can aim at who does not know the secret.
uint64_t hash_with(uint64_t secret, std::string_view text) {
  const Sha256 digest = sha256(fmt::format("{:016x}{}", secret, text));
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value = value << 8 | digest[i];
  return value | 1;  // 0 is the salt of those who ask for none
}

}  // namespace

const Key* find_key(const KeyRing& ring, const net::HttpRequest& request) {
  return ring.find(presented_key(request.headers.find("authorization").value_or(""),
                                 request.headers.find("x-api-key").value_or("")));
}

Visit::Visit(App& app, net::Exchange& exchange)
    : app_(app), exchange_(exchange), hub_(app.hub_of(exchange)), id_(fresh_id(app.secret())) {}

Visit::~Visit() {
  const int status = exchange_.client_gone() && status_ == 0 ? 499 : status_;
  app_.metrics().count_request(route_, status);
  if (app_.log() == nullptr) return;
  const std::chrono::duration<double, std::milli> ms = Clock::now() - start_;
  const net::HttpRequest& request = exchange_.request();
  const std::string request_id = fmt::format("req_{}", id_);
  app_.log()->write({.time = time_,
                     .client = request.peer,
                     .key = key_ == nullptr ? std::string_view() : key_->name,
                     .method = request.method,
                     .path = request.path,
                     .status = status,
                     .ms = ms.count(),
                     .model = notes_.model,
                     .prompt_tokens = notes_.prompt_tokens,
                     .cached_tokens = notes_.cached_tokens,
                     .completion_tokens = notes_.completion_tokens,
                     .ttft_ms = notes_.ttft_ms,
                     .finish = exchange_.client_gone() ? "client_gone" : notes_.finish,
                     .request_id = request_id,
                     .error = notes_.error,
                     .stream = notes_.stream,
                     .prompt = notes_.prompt,
                     .answer = notes_.answer});
}

int64_t Visit::created() const { return std::chrono::system_clock::to_time_t(time_); }

void Visit::set_route(std::string_view pattern, ErrorStyle style) {
  route_ = pattern;
  style_ = style;
}

bool Visit::identify() {
  ring_ = app_.keys().get();
  if (!ring_) return true;
  key_ = find_key(*ring_, exchange_.request());
  return key_ != nullptr;
}

std::optional<api::ApiError> Visit::admit() {
  if (key_ == nullptr) return std::nullopt;
  constexpr int64_t kBytesPerToken = 4;  // of English; what was really used is settled later
  const auto bytes = static_cast<int64_t>(exchange_.request().body.size());
  auto admitted = key_->limiter->admit(1 + bytes / kBytesPerToken);
  if (auto* lease = std::get_if<Lease>(&admitted)) {
    lease_.emplace(std::move(*lease));
    return std::nullopt;
  }
  const Refusal& refusal = std::get<Refusal>(admitted);
  app_.metrics().count_rejected(to_string(refusal.limit));
  if (auto seconds = retry_after_header(refusal); !seconds.empty()) {
    add_header("Retry-After", std::move(seconds));
  }
  return api::ApiError{429, refusal.message, "", "rate_limit_exceeded"};
}

void Visit::settle(int64_t tokens) {
  if (lease_) lease_->settle(tokens);
}

uint64_t Visit::user() const {
  return hash_with(app_.secret(), key_ == nullptr ? exchange_.request().peer : key_->name);
}

uint64_t Visit::salt(std::string_view cache_salt) const {
  const uint64_t own = key_ == nullptr ? 0 : key_->salt;
  if (cache_salt.empty()) return own;
  return hash_with(app_.secret() ^ own, cache_salt);
}

void Visit::add_headers(net::Headers& headers) const {
  headers.add("x-request-id", fmt::format("req_{}", id_));
  headers.add("X-Content-Type-Options", "nosniff");
  add_cors_headers(headers, exchange_.request(), app_.options().cors_origins);
  for (const net::Header& one : more_headers_) headers.set(one.name, one.value);
  if (key_ == nullptr) return;
  for (auto& [name, value] : rate_limit_headers(key_->limiter->state())) {
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
  if (is_busy && !response.headers.find("Retry-After")) response.headers.add("Retry-After", "1");
  co_await exchange_.send(std::move(response));
}

net::awaitable<void> Visit::send_error(api::ApiError error) {
  notes_.error = fmt::format("{}", error.code.empty() ? std::to_string(error.status) : error.code);
  std::string body;
  if (style_ == ErrorStyle::kAnthropic) {
    api::append_anthropic_error(body, error);
  } else {
    api::append_openai_error(body, error);
  }
  return send(error.status, "application/json", std::move(body));
}

net::awaitable<bool> Visit::begin_events() {
  status_ = 200;
  net::Headers headers;
  headers.add("Content-Type", "text/event-stream; charset=utf-8");
  headers.add("Cache-Control", "no-cache");
  headers.add("X-Accel-Buffering", "no");  // proxies that buffer would hold the tokens back
  add_headers(headers);
  return exchange_.begin_stream(200, std::move(headers));
}

}  // namespace hachi::server
