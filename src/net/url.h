// URLs as far as a client and a server of HTTP need them (RFC 3986).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace hachi::net {

struct Url {
  bool tls = false;    // https
  std::string host;    // a name or an address, without the brackets of IPv6
  uint16_t port = 0;   // 80 or 443 if the URL names none
  std::string target;  // path and query as they are sent, "/" at least; no fragment

  // The host and, unless it is the scheme's own, the port, as a Host header has them.
  std::string authority() const;
};

// http://host[:port][/path][?query][#fragment], or https. Fails with one sentence; user names and
// passwords, control characters, spaces and bytes that are not ASCII are refused.
Result<Url> parse_url(std::string_view text);

// `text` with each %xx decoded; nothing if a "%" is not followed by two hexadecimal digits, or a
// byte is NUL.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace hachi::net
