#include "formats/printable.h"

#include <fmt/format.h>

#include "core/utf8.h"

namespace hachi::formats {
namespace {

constexpr size_t kMaxShown = 80;

bool is_control(uint32_t code_point) {
  return code_point < 0x20 || (code_point >= 0x7F && code_point < 0xA0);
}

}  // namespace

std::string printable(std::string_view name) {
  std::string out = "'";
  size_t at = 0;
  while (at < name.size() && at < kMaxShown) {
    const Utf8Char next = decode_utf8(name.substr(at));
    const std::string_view bytes = name.substr(at, next.length);
    if (next.valid && !is_control(next.code_point)) {
      out += bytes;
    } else {
      for (const char byte : bytes) out += fmt::format("\\x{:02X}", static_cast<uint8_t>(byte));
    }
    at += next.length;
  }
  out += at < name.size() ? "...'" : "'";
  return out;
}

}  // namespace hachi::formats
