// Which web pages may talk to the server. A page that a user visits must not be able to use a
// server on that user's machine behind their back.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "net/http_message.h"

namespace hachi::server {

// Why the request is refused for where it comes from: it has an Origin that is neither ours (the
// Host that it names) nor among `allowed`; or, on a server that listens on this machine alone
// (`is_local`), it names a Host that is not this machine, as a page does that has had its own name
// point here (DNS rebinding).
std::optional<std::string> refuse_origin(const net::HttpRequest& request,
                                         std::span<const std::string> allowed, bool is_local);

// Access-Control-* for an Origin that is allowed; nothing for others.
void add_cors_headers(net::Headers& headers, const net::HttpRequest& request,
                      std::span<const std::string> allowed);

// "localhost", "127.0.0.1", "[::1]" and the like.
bool is_local_host(std::string_view host);

}  // namespace hachi::server
