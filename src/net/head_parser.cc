#include "net/head_parser.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <fmt/format.h>

#include "net/url.h"

namespace hachi::net {
namespace {

namespace http = boost::beast::http;
using boost::beast::string_view;
using ErrorCode = boost::beast::error_code;

constexpr size_t kMaxFields = 256;

std::string text_of(string_view view) { return {view.data(), view.size()}; }

// Beast's parser for the start line, the fields and what they mean for the body. Bodies are read by
// BodyDecoder: Beast's chunk parser wants whole chunk headers and trailers in one buffer.
template <bool isRequest>
class Parser : public http::basic_parser<isRequest> {
 public:
  Parser() {
    this->eager(false);
    this->header_limit(UINT32_MAX);  // the caller has bounded the head
    this->body_limit(boost::none);   // and bounds the body
  }

  std::string method;
  std::string target;
  Headers headers;
  int status = 0;
  int num_hosts = 0;
  bool http11 = true;
  bool other_coding = false;  // a Transfer-Encoding that is not "chunked" alone
  bool has_length = false;

 private:
  void on_request_impl(http::verb, string_view verb, string_view at, int version,
                       ErrorCode&) override {
    http11 = version == 11;
    method = text_of(verb);
    target = text_of(at);
  }
  void on_response_impl(int code, string_view, int, ErrorCode&) override { status = code; }
  void on_field_impl(http::field field, string_view name, string_view value,
                     ErrorCode& error) override {
    if (headers.size() == kMaxFields) {
      error = http::error::header_limit;
      return;
    }
    if (field == http::field::host) ++num_hosts;
    if (field == http::field::content_length) has_length = true;
    if (field == http::field::transfer_encoding) {
      other_coding |= !equal_ignoring_case({value.data(), value.size()}, "chunked");
    }
    headers.add(text_of(name), text_of(value));
  }
  void on_header_impl(ErrorCode&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
  std::size_t on_body_impl(string_view, ErrorCode&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, string_view, ErrorCode&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view, ErrorCode&) override { return 0; }
  void on_finish_impl(ErrorCode&) override {}
};

// The whole head through the parser; an error if it does not end just there.
template <bool isRequest>
ErrorCode parse_all(Parser<isRequest>& parser, std::string_view head) {
  ErrorCode error;
  const size_t at = parser.put(boost::asio::buffer(head.data(), head.size()), error);
  if (!error && (at != head.size() || !parser.is_header_done())) error = http::error::bad_field;
  return error;
}

tl::unexpected<Refusal> refuse(int status, std::string message) {
  return tl::unexpected<Refusal>({status, std::move(message)});
}

Refusal refusal_of(ErrorCode error) {
  if (error == http::error::bad_version) {
    return {505, "the request line is not one of HTTP/1.0 or HTTP/1.1"};
  }
  if (error == http::error::header_limit) return {431, "the request has too many header fields"};
  if (error == http::error::bad_content_length || error == http::error::multiple_content_length) {
    return {400, "the request's Content-Length is not one number"};
  }
  if (error == http::error::bad_transfer_encoding) {
    return {400, "the request has more than one of Content-Length and Transfer-Encoding"};
  }
  return {400, fmt::format("the request's head is not HTTP: {}", error.message())};
}

// Splits a request target (RFC 9112 section 3.2) into path and query.
std::optional<Refusal> take_target(std::string_view target, HttpRequest& request) {
  if (target == "*" && request.method == "OPTIONS") {
    request.path = '*';
    return std::nullopt;
  }
  if (target.find('#') != target.npos) {
    return Refusal{400, "the request's target has a fragment (\"#\"), which is not sent"};
  }
  const size_t scheme = target.find("://");
  if (scheme != target.npos && scheme < target.find_first_of("/?")) {  // absolute-form
    target.remove_prefix(scheme + 3);
    const size_t path = target.find_first_of("/?");
    if (path == 0) return Refusal{400, "the request's target has no host"};
    target = path == target.npos ? std::string_view() : target.substr(path);
    if (target.empty() || target.front() == '?') request.path = '/';
  } else if (target.empty() || target.front() != '/') {
    return Refusal{400, "the request's target is neither a path nor a URL"};
  }
  const size_t question = target.find('?');
  if (question != target.npos) request.query = target.substr(question + 1);
  std::optional<std::string> path = percent_decoded(target.substr(0, question));
  if (!path) {
    return Refusal{400,
                   "the request's path has a \"%\" that two hexadecimal digits other than 00 "
                   "do not follow"};
  }
  if (!path->empty()) request.path = *std::move(path);
  return std::nullopt;
}

}  // namespace

HeadScanner::State HeadScanner::scan(std::string_view text) {
  for (; at_ < text.size(); ++at_) {
    const auto byte = static_cast<unsigned char>(text[at_]);
    const bool after_return = at_ > line_ && text[at_ - 1] == '\r';
    if (after_return != (byte == '\n')) return State::kMalformed;
    if (byte == '\n') {
      const bool empty = at_ - line_ == 1;
      const bool first = line_ == begin_;
      line_ = at_ + 1;
      if (empty && first) {
        begin_ = line_;
      } else if (empty) {
        ++at_;
        return State::kComplete;
      }
    } else {
      const bool control = byte == 0x7f || (byte < 0x20 && byte != '\r' && byte != '\t');
      const bool fold = at_ == line_ && (byte == ' ' || byte == '\t');
      if (control || fold) return State::kMalformed;
    }
  }
  return State::kMore;
}

tl::expected<RequestHead, Refusal> parse_request_head(std::string_view head) {
  Parser<true> parser;
  const ErrorCode error = parse_all(parser, head);
  if (error) return tl::unexpected<Refusal>(refusal_of(error));
  RequestHead parsed;
  parsed.http11 = parser.http11;
  parsed.keep_alive = parser.keep_alive();
  parsed.chunked = parser.chunked();
  if (parser.other_coding) {
    return refuse(501, "the only Transfer-Encoding of requests is \"chunked\"");
  }
  if (parsed.chunked && parser.has_length) {
    return refuse(400, "the request has both Content-Length and Transfer-Encoding");
  }
  if (parsed.chunked && !parsed.http11) {
    return refuse(400, "HTTP/1.0 has no Transfer-Encoding: send a Content-Length");
  }
  if (parser.num_hosts > 1 || (parsed.http11 && parser.num_hosts == 0)) {
    return refuse(400, "the request needs one Host header");
  }
  if (const auto length = parser.content_length()) parsed.content_length = *length;
  if (const auto expect = parser.headers.find("Expect"); expect && parsed.http11) {
    if (!equal_ignoring_case(*expect, "100-continue")) {
      return refuse(417, "the only Expect header that is met is \"100-continue\"");
    }
    parsed.expects_continue = true;
  }
  parsed.request.method = std::move(parser.method);
  parsed.request.headers = std::move(parser.headers);
  if (auto refusal = take_target(parser.target, parsed.request)) {
    return tl::unexpected<Refusal>(*std::move(refusal));
  }
  return parsed;
}

Result<ResponseHead> parse_response_head(std::string_view head) {
  Parser<false> parser;
  const ErrorCode error = parse_all(parser, head);
  if (error) return fail(Code::kCorrupt, "the answer's head is not HTTP: {}", error.message());
  if (parser.other_coding) {
    return fail(Code::kUnsupported, "the answer has a Transfer-Encoding other than \"chunked\"");
  }
  ResponseHead parsed;
  parsed.status = parser.status;
  parsed.chunked = parser.chunked();
  if (const auto length = parser.content_length()) parsed.content_length = *length;
  // Beast says no for an answer that ends with the connection, as it must be.
  parsed.keep_alive = parser.keep_alive();
  parsed.headers = std::move(parser.headers);
  return parsed;
}

}  // namespace hachi::net
