// The heads of HTTP/1.x messages: where one ends, and what it says. What could be read in two ways
// is refused, since a proxy before us may read it in the other (request smuggling).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "core/result.h"
#include "net/http_message.h"

namespace hachi::net {

// Finds the end of a head that arrives in pieces, looking at each byte once, and refuses what no
// head may hold: control characters, a CR or LF by itself, a line that continues the one before it
// (obs-fold), so that garbage is answered at once and not after a timeout.
class HeadScanner {
 public:
  enum class State { kMore, kComplete, kMalformed };

  // `text` is all that came so far: each call must give the same bytes again, and more of them.
  State scan(std::string_view text);

  // When complete: the head is text[begin(), end()), with its empty last line and without empty
  // lines before it, which RFC 9112 section 2.2 says to skip.
  size_t begin() const { return begin_; }
  size_t end() const { return at_; }

 private:
  size_t begin_ = 0;
  size_t at_ = 0;
  size_t line_ = 0;  // where the line of at_ begins
};

// Why a request is refused: the status and the sentence of the answer.
struct Refusal {
  int status;
  std::string message;
};

struct RequestHead {
  HttpRequest request;  // method, path, query and headers
  bool http11 = true;
  bool keep_alive = false;
  bool chunked = false;
  bool expects_continue = false;
  std::optional<uint64_t> content_length;
};

// A head as HeadScanner found it.
tl::expected<RequestHead, Refusal> parse_request_head(std::string_view head);

struct ResponseHead {
  int status = 0;
  Headers headers;
  bool keep_alive = false;
  bool chunked = false;
  std::optional<uint64_t> content_length;
};

Result<ResponseHead> parse_response_head(std::string_view head);

}  // namespace hachi::net
