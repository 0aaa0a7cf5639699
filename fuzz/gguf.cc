// GGUF headers, and every view that the parser hands out read to its ends.
#include "formats/gguf.h"

#include <cstddef>
#include <cstdint>

#include "core/check.h"
#include "touch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed =
      hachi::formats::parse_gguf({reinterpret_cast<const std::byte*>(data), size}, "input.gguf");
  if (!parsed) {
    CHECK(!parsed.error().message.empty());
    return 0;
  }
  for (const auto& entry : parsed->tensors) {
    hachi::ConstTensor stored = entry.data;
    if (entry.panels != nullptr) {  // as many bytes as whole panels of rows
      const int64_t rows = (stored.size(0) + 15) / 16 * 16;
      stored = hachi::ConstTensor(entry.panels, stored.dtype(), {rows, stored.size(1)});
    }
    hachi::touch(stored);
  }
  size_t total = 0;
  for (const auto& [key, value] : parsed->metadata.entries()) {
    if (const auto* list = parsed->metadata.strings(key)) {
      for (const std::string_view text : *list) total += text.empty() ? 0 : text.back();
    }
  }
  volatile size_t sink = total;
  (void)sink;
  return 0;
}
