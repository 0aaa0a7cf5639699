#include "server/origins.h"

#include <algorithm>
#include <string>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace hachi::server {
namespace {

// "http://a.example:8080" -> "a.example:8080"
std::string_view host_of(std::string_view origin) {
  const size_t at = origin.find("://");
  return at == std::string_view::npos ? origin : origin.substr(at + 3);
}

bool is_allowed(std::string_view origin, std::span<const std::string> allowed) {
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& one) { return one == "*" || one == origin; });
}

// 127.0.0.0/8. A name may begin with "127." too, and belong to anyone.
bool is_loopback_address(std::string_view host) {
  in_addr address{};
  if (::inet_pton(AF_INET, std::string(host).c_str(), &address) != 1) return false;
  return ntohl(address.s_addr) >> 24 == 127;
}

}  // namespace

bool is_local_host(std::string_view host) {
  if (std::count(host.begin(), host.end(), ':') == 1 || host.starts_with('[')) {
    const size_t port = host.rfind(':');
    if (host.find(']', port) == std::string_view::npos) host = host.substr(0, port);
  }
  return net::equal_ignoring_case(host, "localhost") || host == "[::1]" || host == "::1" ||
         is_loopback_address(host);
}

std::optional<std::string> refuse_origin(const net::HttpRequest& request,
                                         std::span<const std::string> allowed, bool is_local) {
  const std::string_view host = request.headers.find("host").value_or("");
  if (is_local && !host.empty() && !is_local_host(host)) {
    return fmt::format(
        "this server listens on its own machine alone and does not answer for another host: use "
        "http://localhost, or start it with --host");
  }
  const auto origin = request.headers.find("origin");
  if (!origin || is_allowed(*origin, allowed)) return std::nullopt;
  if (net::equal_ignoring_case(host_of(*origin), host)) return std::nullopt;
  return "pages of another origin may not use this server: start it with --cors-origin to allow "
         "one";
}

void add_cors_headers(net::Headers& headers, const net::HttpRequest& request,
                      std::span<const std::string> allowed) {
  const auto origin = request.headers.find("origin");
  if (!origin || !is_allowed(*origin, allowed)) return;
  headers.add("Access-Control-Allow-Origin", std::string(*origin));
  headers.add("Vary", "Origin");
  headers.add("Access-Control-Expose-Headers", "x-request-id, retry-after");
  if (request.method != "OPTIONS") return;
  headers.add("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
  headers.add("Access-Control-Allow-Headers",
              "authorization, content-type, x-api-key, anthropic-version, anthropic-beta");
  headers.add("Access-Control-Max-Age", "600");
}

}  // namespace hachi::server
