// Any text as an answer with tool calls, of each style: whole and cut into pieces it must come
// apart the same, and without a call it must come through whole.
#include "chat/tool_call_parser.h"
#include "core/check.h"

namespace {

using hachi::chat::ToolCallParser;
using hachi::chat::ToolStyle;

struct Parsed {
  std::string content;
  std::string calls;  // names and arguments, with marks between
  int num_calls = 0;
  bool broken_off = false;
};

Parsed parse(ToolStyle style, std::string_view text, size_t chunk) {
  ToolCallParser parser(style);
  std::vector<ToolCallParser::Piece> pieces;
  for (size_t at = 0; at < text.size(); at += chunk) parser.push(text.substr(at, chunk), pieces);
  parser.finish(pieces);
  Parsed parsed;
  for (const auto& piece : pieces) {
    if (piece.kind == ToolCallParser::Kind::kContent) {
      parsed.content += piece.text;
    } else {
      if (piece.kind == ToolCallParser::Kind::kName) parsed.calls += '\0';
      parsed.calls += piece.text;
    }
  }
  parsed.num_calls = parser.num_calls();
  parsed.broken_off = parser.is_broken_off();
  return parsed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const auto style = static_cast<ToolStyle>(data[0] % 4);
  const size_t chunk = 1 + data[1] % 16;
  const std::string_view text(reinterpret_cast<const char*>(data + 2), size - 2);
  const Parsed whole = parse(style, text, text.size() + 1);
  const Parsed cut = parse(style, text, chunk);
  CHECK(whole.content == cut.content);
  CHECK(whole.calls == cut.calls);
  CHECK_EQ(whole.num_calls, cut.num_calls);
  CHECK_EQ(whole.broken_off, cut.broken_off);
  CHECK(whole.num_calls > 0 || whole.content == text);
  return 0;
}
