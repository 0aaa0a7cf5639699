// safetensors files: the JSON header, its flattening as a config, and every tensor read to its
// ends.
#include "formats/safetensors.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/check.h"
#include "formats/json.h"
#include "touch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace hachi;
  const auto parsed = formats::parse_safetensors({reinterpret_cast<const std::byte*>(data), size},
                                                 "input.safetensors");
  if (parsed) {
    for (const auto& entry : parsed->tensors) hachi::touch(entry.data);
  } else {
    CHECK(!parsed.error().message.empty());
  }
  // The header alone is what a config.json is.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.size() < 8) return 0;
  const auto object = formats::parse_json_object(text.substr(8), "config.json");
  if (object) {
    const auto metadata = formats::flatten(*object, "config.json");
    CHECK(metadata || !metadata.error().message.empty());
  }
  return 0;
}
