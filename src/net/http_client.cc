#include "net/http_client.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "net/client_connection.h"
#include "net/connector.h"
#include "net/response_head.h"

namespace hachi::net {
namespace {

using Clock = std::chrono::steady_clock;

std::string request_head(const Url& origin, const ClientRequest& request) {
  std::string head = fmt::format("{} {} HTTP/1.1\r\n", request.method, request.target);
  append_field(head, "Host", origin.authority());
  for (const Header& field : request.headers) {
    const bool ours = is_written_by_net(field.name) || equal_ignoring_case(field.name, "Host");
    if (!ours) append_field(head, field.name, field.value);
  }
  if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD")) {
    append_field(head, "Content-Length", std::to_string(request.body.size()));
  }
  head += "\r\n";
  return head;
}

bool is_sendable(const ClientRequest& request) {
  const auto is_graphic = [](char c) { return c > 0x20 && c < 0x7f; };
  return !request.method.empty() && request.target.starts_with('/') &&
         std::all_of(request.method.begin(), request.method.end(), is_graphic) &&
         std::all_of(request.target.begin(), request.target.end(), is_graphic);
}

}  // namespace

// What coroutines hold on to while the client may go.
class HttpClient::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(const boost::asio::any_io_executor& executor, Url origin, ClientOptions options,
          std::optional<TlsContext> tls)
      : origin_(std::move(origin)),
        options_(std::move(options)),
        connector_(std::make_shared<Connector>(executor, std::move(tls))) {}

  awaitable<Result<HttpResponse>> send(ClientRequest request);
  awaitable<Result<HttpResponse>> begin(ClientRequest request);
  awaitable<Result<std::string>> read();
  void close();
  int64_t num_connects() const { return num_connects_; }

 private:
  const Url origin_;
  const ClientOptions options_;
  const std::shared_ptr<Connector> connector_;
  std::shared_ptr<ClientConnection> connection_;  // null: none, or it failed
  int64_t num_connects_ = 0;
};

void HttpClient::Session::close() {
  connector_->cancel();
  if (connection_) connection_->close();
}

awaitable<Result<HttpResponse>> HttpClient::Session::begin(ClientRequest request) {
  const auto self = shared_from_this();
  if (!is_sendable(request)) {
    co_return fail(Code::kInvalidArgument,
                   "{}: a request needs a method and a path, ASCII without spaces",
                   origin_.authority());
  }
  auto deadline = Stream::Time::max();
  if (options_.total_timeout.count() > 0) deadline = Clock::now() + options_.total_timeout;
  if (connection_ && !connection_->is_reusable()) {
    connection_->close();
    connection_ = nullptr;
  }
  if (!connection_) {
    const auto connect_deadline = std::min(Clock::now() + options_.connect_timeout, deadline);
    auto stream = co_await connector_->connect(origin_, connect_deadline);
    if (!stream) co_return tl::unexpected<Error>(std::move(stream).error());
    connection_ =
        std::make_shared<ClientConnection>(*std::move(stream), options_, origin_.authority());
    ++num_connects_;
  }
  std::string head = request_head(origin_, request);
  const bool head_only = request.method == "HEAD";
  auto response =
      co_await connection_->begin(std::move(head), std::move(request.body), head_only, deadline);
  if (!response) connection_ = nullptr;
  co_return std::move(response);
}

awaitable<Result<std::string>> HttpClient::Session::read() {
  const auto self = shared_from_this();
  if (!connection_) co_return std::string();
  auto piece = co_await connection_->read();
  if (!piece) connection_ = nullptr;
  co_return std::move(piece);
}

awaitable<Result<HttpResponse>> HttpClient::Session::send(ClientRequest request) {
  const auto self = shared_from_this();
  auto response = co_await begin(std::move(request));
  if (!response) co_return std::move(response);
  for (;;) {
    auto piece = co_await read();
    if (!piece) co_return tl::unexpected<Error>(std::move(piece).error());
    if (piece->empty()) co_return std::move(response);
    response->body += *piece;
  }
}

Result<HttpClient> HttpClient::create(const boost::asio::any_io_executor& executor, Url origin,
                                      ClientOptions options) {
  std::optional<TlsContext> tls;
  if (origin.tls) {
    TRY(tls, TlsContext::client(options.ca_file, options.verify));
  }
  return HttpClient(
      std::make_shared<Session>(executor, std::move(origin), std::move(options), std::move(tls)));
}

HttpClient::HttpClient(std::shared_ptr<Session> session) : session_(std::move(session)) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;

HttpClient& HttpClient::operator=(HttpClient&& other) noexcept {
  if (this == &other) return *this;
  if (session_) session_->close();
  session_ = std::move(other.session_);
  return *this;
}

HttpClient::~HttpClient() {
  if (session_) session_->close();
}

awaitable<Result<HttpResponse>> HttpClient::begin(ClientRequest request) {
  return session_->begin(std::move(request));
}

awaitable<Result<std::string>> HttpClient::read() { return session_->read(); }

awaitable<Result<HttpResponse>> HttpClient::send(ClientRequest request) {
  return session_->send(std::move(request));
}

void HttpClient::close() { session_->close(); }

int64_t HttpClient::num_connects() const { return session_->num_connects(); }

}  // namespace hachi::net
