#include "net/url.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace hachi::net {
namespace {

constexpr size_t kMaxUrlBytes = 8192;
constexpr size_t kMaxHostBytes = 255;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_host_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_';
}

// "host", "host:port", "[::1]:port" into `url`.
Result<void> take_authority(std::string_view text, std::string_view whole, Url& url) {
  if (text.find('@') != text.npos) {
    return fail(Code::kInvalidArgument,
                "{}: a URL must hold no user name or password; send them in "
                "a header",
                whole);
  }
  size_t colon = text.find(':');
  if (!text.empty() && text.front() == '[') {
    const size_t bracket = text.find(']');
    const auto inner = bracket == text.npos ? "" : text.substr(1, bracket - 1);
    const bool fine = !inner.empty() && std::all_of(inner.begin(), inner.end(), [](char c) {
      return hex_digit(c) >= 0 || c == ':' || c == '.';
    });
    if (!fine) return fail(Code::kInvalidArgument, "{}: the address in [] is not IPv6", whole);
    url.host = inner;
    colon = bracket + 1 < text.size() ? bracket + 1 : text.npos;
    if (colon != text.npos && text[colon] != ':') {
      return fail(Code::kInvalidArgument, "{}: only \":port\" may follow \"]\"", whole);
    }
  } else {
    url.host = text.substr(0, colon);
    if (url.host.empty() || !std::all_of(url.host.begin(), url.host.end(), is_host_char)) {
      return fail(Code::kInvalidArgument,
                  "{}: the host is empty or has characters that no host has", whole);
    }
  }
  if (url.host.size() > kMaxHostBytes) {
    return fail(Code::kInvalidArgument, "{}: the host is longer than {} bytes", whole,
                kMaxHostBytes);
  }
  if (colon == text.npos) return {};
  const std::string_view digits = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), url.port);
  if (error != std::errc() || end != digits.data() + digits.size() || url.port == 0) {
    return fail(Code::kInvalidArgument, "{}: the port must be a number from 1 to 65535", whole);
  }
  return {};
}

}  // namespace

std::string Url::authority() const {
  const bool v6 = host.find(':') != host.npos;
  std::string text = v6 ? fmt::format("[{}]", host) : host;
  if (port != (tls ? 443 : 80)) text += fmt::format(":{}", port);
  return text;
}

Result<Url> parse_url(std::string_view text) {
  if (text.size() > kMaxUrlBytes) {
    return fail(Code::kInvalidArgument, "a URL must have at most {} bytes, got {}", kMaxUrlBytes,
                text.size());
  }
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; })) {
    return fail(Code::kInvalidArgument,
                "a URL must be ASCII without spaces; write other bytes as "
                "%xx");
  }
  Url url;
  const size_t scheme = text.find("://");
  const std::string_view name = text.substr(0, scheme);
  if (scheme == text.npos || (name != "http" && name != "https")) {
    return fail(Code::kInvalidArgument, "{}: a URL must begin with http:// or https://", text);
  }
  url.tls = name == "https";
  url.port = url.tls ? 443 : 80;
  const std::string_view rest = text.substr(scheme + 3);
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  TRY(take_authority(rest.substr(0, end), text, url));
  url.target = rest.substr(end, rest.find('#') - end);
  if (url.target.empty() || url.target.front() != '/') url.target.insert(url.target.begin(), '/');
  return url;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (c == '%') {
      if (text.size() - at < 3) return std::nullopt;
      const int high = hex_digit(text[at + 1]);
      const int low = hex_digit(text[at + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      at += 2;
    }
    if (c == '\0') return std::nullopt;
    decoded += c;
  }
  return decoded;
}

}  // namespace hachi::net
