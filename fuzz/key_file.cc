// A key file: what is refused has a sentence that names the line; what is read has distinct names
// within the limits, and reading it again gives the same keys with the limiters that they had.
#include "server/key_file.h"

#include <cstdint>
#include <set>
#include <string_view>

#include "core/check.h"
#include "core/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hachi::server;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)presented_key(text, text);
  const auto ring = parse_keys(text, "keys");
  if (!ring) {
    CHECK(ring.error().message.substr(0, 5) == "keys:");
    CHECK(hachi::is_utf8(ring.error().message));
    return 0;
  }
  const auto again = parse_keys(text, "keys", ring->get());
  CHECK(again);
  CHECK_EQ((*again)->keys().size(), (*ring)->keys().size());
  std::set<std::string_view> names;
  for (size_t i = 0; i < (*ring)->keys().size(); ++i) {
    const Key& key = (*ring)->keys()[i];
    CHECK(is_key_name(key.name) && names.insert(key.name).second);
    CHECK(key.limiter && key.limiter == (*again)->keys()[i].limiter);
    CHECK(key.priority >= -kMaxKeyPriority && key.priority <= kMaxKeyPriority);
    (void)key.limiter->admit(key.limiter->limits().tokens_per_minute);
  }
  CHECK((*ring)->find("not a key") == nullptr);
  return 0;
}
