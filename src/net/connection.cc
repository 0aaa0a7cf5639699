#include "net/connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "net/response_head.h"

namespace hachi::net {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// One read takes at most this; the buffer is the thread's, so connections that wait own none.
constexpr size_t kReadBytes = 64 << 10;
// Requests that come while one is answered are kept up to here.
constexpr size_t kMaxPipelinedBytes = 64 << 10;
// What a buffer may keep for the next request.
constexpr size_t kKeptBytes = 4 << 10;
// How long a client has to read the last answer: closing on unread bytes would make the kernel send
// a reset, which can overtake the answer.
constexpr auto kLingerTime = 2s;

std::array<char, kReadBytes>& read_buffer() {
  thread_local std::array<char, kReadBytes> buffer;
  return buffer;
}

std::chrono::milliseconds time_for(uint64_t bytes, uint64_t bytes_per_second) {
  const uint64_t ms =
      std::min<uint64_t>(bytes, UINT64_MAX / 1000) * 1000 / std::max<uint64_t>(bytes_per_second, 1);
  constexpr uint64_t kDayMs = 24ull * 3600 * 1000;
  return std::chrono::milliseconds(std::min(ms, kDayMs));
}

}  // namespace

Connection::Connection(std::shared_ptr<Stream> stream,
                       std::shared_ptr<const ConnectionSettings> settings, std::string peer)
    : stream_(std::move(stream)), settings_(std::move(settings)), peer_(std::move(peer)) {}

awaitable<void> Connection::run() {
  const auto self = shared_from_this();
  try {
    co_await serve();
  } catch (...) {
    // Out of memory, or out of something else that Asio throws for: this connection ends.
  }
  stream_->close();
}

awaitable<void> Connection::serve() {
  stream_->set_deadline(Clock::now() + settings_->options.header_timeout);
  const bool secured = co_await stream_->handshake();
  if (!secured) co_return;
  Next next = Next::kKeepAlive;
  while (next == Next::kKeepAlive) next = co_await serve_one();
  idle_ = true;
  if (next == Next::kLinger) co_await linger();
}

awaitable<void> Connection::turn_away() {
  const auto self = shared_from_this();
  HttpResponse response = error_response(503, "too many connections: try again later");
  response.headers.add("Retry-After", "1");
  co_await refuse(std::move(response));
  co_await linger();
  stream_->close();
}

awaitable<Connection::Next> Connection::serve_one() {
  Refusal refusal = {0, ""};
  const bool found = co_await read_head(refusal);
  if (!found && refusal.status == 0) co_return Next::kClose;
  if (!found) co_return co_await refuse(error_response(refusal.status, refusal.message));

  const std::string_view text =
      std::string_view(in_).substr(scanner_.begin(), scanner_.end() - scanner_.begin());
  auto head = parse_request_head(text);
  in_.erase(0, scanner_.end());
  scanner_ = {};
  if (!head) {
    co_return co_await refuse(error_response(head.error().status, head.error().message));
  }
  head->request.peer = peer_;
  auto allowed = settings_->head_check(head->request);
  if (auto* response = std::get_if<HttpResponse>(&allowed)) {
    co_return co_await refuse(std::move(*response));
  }
  std::string body;
  const bool whole = co_await read_body(*head, std::get<uint64_t>(allowed), body, refusal);
  if (!whole && refusal.status == 0) co_return Next::kClose;
  if (!whole) co_return co_await refuse(error_response(refusal.status, refusal.message));
  head->request.body = std::move(body);
  co_return co_await run_handler(*std::move(head));
}

// Reads what has come, waiting for it, and appends it to in_. False: the end, or the deadline.
awaitable<bool> Connection::read_more() {
  for (;;) {
    auto& buffer = read_buffer();
    const IoStep step = stream_->read_some(buffer);
    if (step.state == Io::kDone) {
      in_.append(buffer.data(), step.bytes);
      co_return true;
    }
    if (step.state != Io::kWantRead && step.state != Io::kWantWrite) co_return false;
    const bool ready = co_await stream_->wait(step.state);
    if (!ready) co_return false;
  }
}

// True: scanner_ holds the place of a head in in_. False with a refusal of status 0: the client
// left, or stayed idle.
awaitable<bool> Connection::read_head(Refusal& refusal) {
  const ServerOptions& options = settings_->options;
  bool begun = false;
  idle_ = true;
  for (;;) {
    const auto state = scanner_.scan(in_);
    if (state == HeadScanner::State::kMalformed) {
      refusal = {400,
                 "the request's head is not HTTP/1.1: it has a control character, a line end "
                 "other than CR LF, or a line that continues the one before it"};
      co_return false;
    }
    const bool complete = state == HeadScanner::State::kComplete;
    if ((complete ? scanner_.end() : in_.size()) > options.max_header_bytes) {
      refusal = {431, "the request's head is larger than " +
                          std::to_string(options.max_header_bytes) + " bytes"};
      co_return false;
    }
    if (complete) {
      idle_ = false;
      co_return true;
    }
    if (in_.empty()) {
      if (draining_) co_return false;
      stream_->set_deadline(Clock::now() + options.idle_timeout);
    } else if (!begun) {
      begun = true;
      idle_ = false;
      stream_->set_deadline(Clock::now() + options.header_timeout);
    }
    const bool more = co_await read_more();
    if (!more) {
      if (begun && stream_->timed_out()) refusal = {408, "the request's head took too long"};
      co_return false;
    }
  }
}

awaitable<bool> Connection::read_body(const RequestHead& head, uint64_t limit, std::string& body,
                                      Refusal& refusal) {
  const uint64_t length = head.content_length.value_or(0);
  if (length > limit) {
    refusal = {413, "the request's body is larger than " + std::to_string(limit) + " bytes"};
    co_return false;
  }
  auto decoder = head.chunked ? BodyDecoder::of_chunks(limit) : BodyDecoder::of_length(length);
  if (decoder.state() == BodyDecoder::State::kDone) co_return true;
  if (head.expects_continue && in_.empty()) {
    std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    iovec part = {go_on.data(), go_on.size()};
    const bool sent = co_await write({&part, 1});
    if (!sent) co_return false;
  }
  const auto begin = Clock::now() + settings_->options.body_timeout;
  for (;;) {
    std::string_view in = in_;
    const auto state = decoder.decode(in, body);
    in_.erase(0, in_.size() - in.size());
    if (state == BodyDecoder::State::kDone) co_return true;
    if (state == BodyDecoder::State::kTooLarge) {
      refusal = {413, "the request's body is larger than " + std::to_string(limit) + " bytes"};
      co_return false;
    }
    if (state == BodyDecoder::State::kMalformed) {
      refusal = {400, "the request's body is not in chunks as its Transfer-Encoding says"};
      co_return false;
    }
    stream_->set_deadline(begin + time_for(body.size(), settings_->options.min_bytes_per_second));
    const bool more = co_await read_more();
    if (!more) {
      if (stream_->timed_out()) refusal = {408, "the request's body took too long"};
      co_return false;
    }
  }
}

awaitable<Connection::Next> Connection::run_handler(RequestHead head) {
  if (in_.capacity() > kKeptBytes) in_ = std::string(in_);
  Exchange exchange(*this, std::move(head.request));
  exchange.http11_ = head.http11;
  exchange.head_only_ = exchange.request_.method == "HEAD";
  exchange.keep_alive_ = head.keep_alive;
  exchange_ = &exchange;
  stream_->clear_deadline();
  start_watch();
  bool threw = false;
  try {
    co_await settings_->handler(exchange);
  } catch (...) {
    threw = true;
  }
  exchange_ = nullptr;
  exchange.on_gone_ = {};
  stream_->cancel();
  if (exchange.gone_) co_return Next::kClose;
  if (exchange.phase_ == Exchange::Phase::kWaiting) {
    co_return co_await refuse(error_response(
        500, threw ? "the server failed on this request" : "the server has no answer"));
  }
  if (threw || exchange.phase_ == Exchange::Phase::kStreaming) co_return Next::kClose;
  co_return exchange.keep_alive_ ? Next::kKeepAlive : Next::kLinger;
}

// The last answer of the connection.
awaitable<Connection::Next> Connection::refuse(HttpResponse response) {
  HeadFacts facts;
  facts.status = response.status;
  facts.content_length = response.body.size();
  facts.keep_alive = false;
  std::string head = response_head(facts, response.headers);
  iovec parts[] = {{head.data(), head.size()}, {response.body.data(), response.body.size()}};
  const bool sent = co_await write(parts);
  co_return sent ? Next::kLinger : Next::kClose;
}

awaitable<void> Connection::linger() {
  stream_->shutdown_send();
  stream_->set_deadline(Clock::now() + kLingerTime);
  bool more = true;
  while (more) {
    in_.clear();
    more = co_await read_more();
  }
}

bool Connection::write_now(std::span<iovec>& parts) {
  const IoStep step = stream_->write_some(parts);
  if (step.state != Io::kDone) return false;
  drop_front(parts, step.bytes);
  return parts.empty();
}

awaitable<bool> Connection::write(std::span<iovec> parts) {
  if (write_now(parts)) co_return true;
  co_return co_await write_rest(parts);
}

awaitable<bool> Connection::write_rest(std::span<iovec> parts) {
  uint64_t bytes = 0;
  for (const iovec& part : parts) bytes += part.iov_len;
  const auto& options = settings_->options;
  stream_->set_deadline(Clock::now() + options.write_timeout +
                        time_for(bytes, options.min_bytes_per_second));
  const bool sent = co_await stream_->write_all(parts);
  stream_->clear_deadline();
  if (!sent) cut();
  co_return sent;
}

// While the handler runs: reads ahead, so that the end of the stream shows as soon as it comes.
void Connection::start_watch() {
  stream_->watch([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->on_readable();
  });
}

void Connection::on_readable() {
  while (exchange_ != nullptr && in_.size() < kMaxPipelinedBytes) {
    auto& buffer = read_buffer();
    const size_t room = std::min(buffer.size(), kMaxPipelinedBytes - in_.size());
    const IoStep step = stream_->read_some({buffer.data(), room});
    if (step.state == Io::kDone) {
      in_.append(buffer.data(), step.bytes);
    } else if (step.state == Io::kWantRead || step.state == Io::kWantWrite) {
      return start_watch();
    } else {
      return cut();
    }
  }
}

void Connection::drain() {
  draining_ = true;
  if (idle_) stream_->close();
}

void Connection::cut() {
  draining_ = true;
  const auto self = shared_from_this();
  stream_->close();
  if (exchange_ != nullptr) exchange_->set_gone();
}

}  // namespace hachi::net
