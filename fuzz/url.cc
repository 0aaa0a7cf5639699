// Any bytes as a URL and as a text with %xx; a URL that was read is read the same when written.
#include "net/url.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hachi::net;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto decoded = percent_decoded(text)) {
    CHECK_LE(decoded->size(), text.size());
    CHECK(decoded->find('\0') == decoded->npos);
  }
  const auto url = parse_url(text);
  if (!url) {
    CHECK(!url.error().message.empty());
    return 0;
  }
  CHECK(!url->host.empty() && url->port != 0 && url->target.starts_with('/'));
  const std::string written = (url->tls ? "https://" : "http://") + url->authority() + url->target;
  const auto again = parse_url(written);
  CHECK(again);
  CHECK(again->host == url->host && again->port == url->port && again->target == url->target);
  return 0;
}
