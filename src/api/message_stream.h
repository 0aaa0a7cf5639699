// The events of a streamed message in Anthropic's API:
//
//   message_start
//   for each block (thinking, then text, then calls of tools): content_block_start,
//     content_block_delta …, content_block_stop
//   message_delta (stop_reason, usage), message_stop
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "api/anthropic_messages.h"

namespace hachi::api {

// One stream. The functions append framed events and are called in this order: start, deltas, then
// finish once; an error ends the stream with append_anthropic_error_event instead.
class MessageStream {
 public:
  // `usage`: of the prompt.
  void start(std::string& out, const ResponseHead& head, const Usage& usage);
  void thinking_delta(std::string& out, std::string_view delta);
  void text_delta(std::string& out, std::string_view delta);
  // Begins a call; its arguments follow, in pieces of their JSON text.
  void tool_use(std::string& out, std::string_view id, std::string_view name);
  void input_delta(std::string& out, std::string_view delta);
  void finish(std::string& out, const MessageEnd& end, const Usage& usage);

 private:
  enum class Block { kNone, kThinking, kText, kToolUse };

  // `content`: the block as it begins, JSON.
  void open_block(std::string& out, Block block, std::string_view content);
  void open_text(std::string& out);
  void close_block(std::string& out);
  void delta(std::string& out, std::string_view type, std::string_view key, std::string_view text);

  Block open_ = Block::kNone;
  int64_t index_ = 0;  // of the open block, or of the next one
  bool has_text_ = false;
};

}  // namespace hachi::api
