#include "net/client_connection.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hachi::net {
namespace {

using Clock = std::chrono::steady_clock;

// Interim answers (100 Continue, 103 Early Hints) before the one that counts.
constexpr int kMaxInterimAnswers = 16;
constexpr size_t kReadBytes = 64 << 10;

}  // namespace

void ClientConnection::close() {
  cancelled_ = true;
  stream_->close();
}

tl::unexpected<Error> ClientConnection::refuse(Code code, std::string_view what) {
  stream_->close();
  return fail(code, "{}: {}", peer_, what);
}

// The error of a socket that failed.
tl::unexpected<Error> ClientConnection::broken(std::string_view what) {
  if (cancelled_) return refuse(Code::kCancelled, "the connection was closed here");
  if (!stream_->timed_out()) return refuse(Code::kIo, what);
  const bool total = Clock::now() >= total_deadline_;
  return refuse(Code::kIo, fmt::format(fmt::runtime(total ? "the answer took longer than {} ms"
                                                          : "the server did nothing for {} ms"),
                                       total ? options_.total_timeout.count()
                                             : options_.idle_timeout.count()));
}

void ClientConnection::set_deadline() {
  stream_->set_deadline(std::min(Clock::now() + options_.idle_timeout, total_deadline_));
}

bool ClientConnection::is_reusable() {
  if (body_ || !keep_alive_ || !in_.empty() || !stream_->is_open()) return false;
  char byte = 0;  // neither closed by the server nor anything unasked: nothing to read
  return stream_->read_some({&byte, 1}).state == Io::kWantRead;
}

awaitable<ClientConnection::More> ClientConnection::read_more() {
  for (;;) {
    thread_local std::array<char, kReadBytes> buffer;
    const IoStep step = stream_->read_some(buffer);
    if (step.state == Io::kDone) {
      in_.append(buffer.data(), step.bytes);
      co_return More::kBytes;
    }
    if (step.state == Io::kEnd) co_return More::kEnd;
    if (step.state == Io::kError) co_return More::kFailed;
    set_deadline();
    const bool ready = co_await stream_->wait(step.state);
    if (!ready) co_return More::kFailed;
  }
}

awaitable<Result<ResponseHead>> ClientConnection::read_head() {
  for (int i = 0; i <= kMaxInterimAnswers; ++i) {
    HeadScanner scanner;
    auto state = scanner.scan(in_);
    while (state == HeadScanner::State::kMore && in_.size() <= options_.max_header_bytes) {
      const More more = co_await read_more();
      if (more != More::kBytes) co_return broken("the server closed without an answer");
      state = scanner.scan(in_);
    }
    if (state == HeadScanner::State::kMalformed) {
      co_return refuse(Code::kCorrupt, "the answer is not HTTP/1.1");
    }
    if (state == HeadScanner::State::kMore || scanner.end() > options_.max_header_bytes) {
      co_return refuse(Code::kLimit, fmt::format("the answer's head is larger than {} bytes",
                                                 options_.max_header_bytes));
    }
    auto head = parse_response_head(
        std::string_view(in_).substr(scanner.begin(), scanner.end() - scanner.begin()));
    in_.erase(0, scanner.end());
    if (!head) co_return refuse(head.error().code, head.error().message);
    if (head->status == 101) co_return refuse(Code::kCorrupt, "the server changed the protocol");
    if (head->status >= 200) co_return std::move(head);
  }
  co_return refuse(Code::kLimit, fmt::format("more than {} interim answers", kMaxInterimAnswers));
}

Result<void> ClientConnection::choose_framing(const ResponseHead& head, bool head_only) {
  const uint64_t limit = options_.max_body_bytes;
  ends_with_connection_ = false;
  if (head_only || head.status == 204 || head.status == 304) {
    body_ = BodyDecoder::of_length(0);
  } else if (head.chunked) {
    body_ = BodyDecoder::of_chunks(limit);
  } else if (head.content_length) {
    if (*head.content_length > limit) {
      return refuse(Code::kLimit, fmt::format("the answer has {} bytes, more than {}",
                                              *head.content_length, limit));
    }
    body_ = BodyDecoder::of_length(*head.content_length);
  } else {
    ends_with_connection_ = true;
    body_ = BodyDecoder::until_end(limit);
  }
  return {};
}

awaitable<Result<HttpResponse>> ClientConnection::begin(std::string head, std::string body,
                                                        bool head_only, Stream::Time deadline) {
  const auto self = shared_from_this();
  total_deadline_ = deadline;
  iovec parts[] = {{head.data(), head.size()}, {body.data(), body.size()}};
  set_deadline();
  const bool sent = co_await stream_->write_all(parts);
  // A server may refuse a request before it has read all of it: its answer counts.
  if (!sent && (cancelled_ || stream_->timed_out())) co_return broken("");
  auto answer = co_await read_head();
  if (!answer) co_return tl::unexpected<Error>(std::move(answer).error());
  auto framed = choose_framing(*answer, head_only);
  if (!framed) co_return tl::unexpected<Error>(std::move(framed).error());
  keep_alive_ = sent && answer->keep_alive && !ends_with_connection_;
  HttpResponse response;
  response.status = answer->status;
  response.headers = std::move(answer->headers);
  co_return std::move(response);
}

awaitable<Result<std::string>> ClientConnection::read() {
  const auto self = shared_from_this();
  std::string piece;
  while (body_) {
    std::string_view in = in_;
    const auto state = body_->decode(in, piece);
    in_.erase(0, in_.size() - in.size());
    if (state == BodyDecoder::State::kMalformed) {
      co_return refuse(Code::kCorrupt, "the answer's chunks are not HTTP");
    }
    if (state == BodyDecoder::State::kTooLarge) {
      co_return refuse(Code::kLimit,
                       fmt::format("the answer is larger than {} bytes", options_.max_body_bytes));
    }
    if (state == BodyDecoder::State::kDone) body_.reset();
    if (!piece.empty() || !body_) break;
    const More more = co_await read_more();
    if (more == More::kEnd && ends_with_connection_) {
      body_.reset();
    } else if (more != More::kBytes) {
      co_return broken("the server broke off its answer");
    }
  }
  if (!body_) stream_->stop_timer();
  co_return std::move(piece);
}

}  // namespace hachi::net
