// The chat page: the files of web/ and its libraries, as they lie in the program.
#pragma once

#include <span>
#include <string_view>

namespace hachi::server {

// A file to serve. Its views live as long as the program.
struct Asset {
  std::string_view path;          // below the server's root: "/", "/page/app.js"
  std::string_view content_type;  // with its charset
  std::string_view bytes;
  std::string_view etag;  // quoted, a hash of the file
  bool gzip = false;      // bytes are compressed: Content-Encoding is gzip, for every client
};

// All files, by path.
std::span<const Asset> assets();

// The file with exactly this path (no query), or nullptr.
const Asset* find_asset(std::string_view path);

// For the header Content-Security-Policy of each of them: nothing from elsewhere, nothing inline.
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'";

}  // namespace hachi::server
