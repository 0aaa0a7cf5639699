#include "net/exchange.h"

#include <charconv>
#include <utility>

#include "core/check.h"
#include "net/connection.h"
#include "net/response_head.h"

namespace hachi::net {
namespace {

bool has_no_body(int status) { return status == 204 || status == 304; }

char* bytes_of(std::string_view text) { return const_cast<char*>(text.data()); }  // only read

}  // namespace

Exchange::Exchange(Connection& connection, HttpRequest request)
    : connection_(connection), request_(std::move(request)) {}

Exchange::~Exchange() = default;

std::string Exchange::take_body() { return std::exchange(request_.body, {}); }

boost::asio::any_io_executor Exchange::executor() const { return connection_.executor(); }

// Not a coroutine itself: the response is taken apart before any frame is made.
awaitable<bool> Exchange::send(HttpResponse response) {
  CHECK(phase_ == Phase::kWaiting);
  phase_ = Phase::kDone;
  keep_alive_ = keep_alive_ && !connection_.draining();
  HeadFacts facts;
  facts.status = response.status;
  facts.http11 = http11_;
  facts.keep_alive = keep_alive_;
  facts.content_length = response.body.size();
  std::string head = response_head(facts, response.headers);
  if (head_only_ || has_no_body(response.status)) response.body.clear();
  return send_text(std::move(head), std::move(response.body));
}

awaitable<bool> Exchange::send_text(std::string head, std::string body) {
  if (gone_) co_return false;
  iovec parts[] = {{head.data(), head.size()}, {body.data(), body.size()}};
  co_return co_await connection_.write(parts);
}

awaitable<bool> Exchange::begin_stream(int status, const Headers& headers) {
  CHECK(phase_ == Phase::kWaiting);
  phase_ = Phase::kStreaming;
  keep_alive_ = keep_alive_ && http11_ && !connection_.draining();
  HeadFacts facts;
  facts.status = status;
  facts.http11 = http11_;
  facts.keep_alive = keep_alive_;
  facts.chunked = http11_ && !has_no_body(status);
  if (has_no_body(status)) head_only_ = true;
  return send_text(response_head(facts, headers), std::string());
}

awaitable<bool> Exchange::write(std::string_view bytes) {
  CHECK(phase_ == Phase::kStreaming);
  if (gone_) co_return false;
  if (bytes.empty() || head_only_) co_return true;
  char size[20];
  char* size_end = std::to_chars(size, size + 16, bytes.size(), 16).ptr;
  *size_end++ = '\r';
  *size_end++ = '\n';
  iovec parts[] = {{size, static_cast<size_t>(size_end - size)},
                   {bytes_of(bytes), bytes.size()},
                   {bytes_of("\r\n"), 2}};
  std::span<iovec> rest(parts);
  if (!http11_) rest = rest.subspan(1, 1);
  if (connection_.write_now(rest)) co_return true;
  co_return co_await connection_.write_rest(rest);
}

awaitable<bool> Exchange::end_stream() {
  CHECK(phase_ == Phase::kStreaming);
  phase_ = Phase::kDone;
  if (gone_) co_return false;
  if (!http11_ || head_only_) co_return true;
  iovec part = {bytes_of("0\r\n\r\n"), 5};
  co_return co_await connection_.write({&part, 1});
}

void Exchange::on_client_gone(std::function<void()> callback) {
  if (gone_ && callback) return callback();
  on_gone_ = std::move(callback);
}

void Exchange::set_gone() {
  if (gone_) return;
  gone_ = true;
  if (const auto callback = std::exchange(on_gone_, {})) callback();
}

}  // namespace hachi::net
