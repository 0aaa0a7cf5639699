#include "api/message_stream.h"

#include "api/json_text.h"
#include "core/check.h"

namespace hachi::api {
namespace {

ObjectWriter begin_event(std::string& out, std::string_view type) {
  out += "event: ";
  out += type;
  out += "\ndata: ";
  ObjectWriter writer(out);
  writer.text("type", type);
  return writer;
}

void end_event(std::string& out, ObjectWriter& writer) {
  writer.close();
  out += "\n\n";
}

}  // namespace

void MessageStream::start(std::string& out, const ResponseHead& head, const Usage& usage) {
  ObjectWriter event = begin_event(out, "message_start");
  ObjectWriter message(event.member("message"));
  message.text("id", head.id)
      .text("type", "message")
      .text("role", "assistant")
      .text("model", head.model)
      .raw("content", "[]")
      .null("stop_reason")
      .null("stop_sequence");
  append_message_usage(message.member("usage"), usage);
  message.close();
  end_event(out, event);
}

void MessageStream::open_block(std::string& out, Block block, std::string_view content) {
  if (open_ != Block::kNone) close_block(out);
  open_ = block;
  ObjectWriter event = begin_event(out, "content_block_start");
  event.integer("index", index_).raw("content_block", content);
  end_event(out, event);
}

void MessageStream::close_block(std::string& out) {
  ObjectWriter event = begin_event(out, "content_block_stop");
  event.integer("index", index_);
  end_event(out, event);
  open_ = Block::kNone;
  ++index_;
}

void MessageStream::delta(std::string& out, std::string_view type, std::string_view key,
                          std::string_view text) {
  ObjectWriter event = begin_event(out, "content_block_delta");
  event.integer("index", index_);
  ObjectWriter(event.member("delta")).text("type", type).text(key, text).close();
  end_event(out, event);
}

void MessageStream::open_text(std::string& out) {
  if (open_ == Block::kText) return;
  has_text_ = true;
  open_block(out, Block::kText, R"({"type":"text","text":"","citations":null})");
}

void MessageStream::thinking_delta(std::string& out, std::string_view text) {
  if (open_ != Block::kThinking) {
    open_block(out, Block::kThinking, R"({"type":"thinking","thinking":"","signature":""})");
  }
  delta(out, "thinking_delta", "thinking", text);
}

void MessageStream::text_delta(std::string& out, std::string_view text) {
  open_text(out);
  delta(out, "text_delta", "text", text);
}

void MessageStream::tool_use(std::string& out, std::string_view id, std::string_view name) {
  std::string block;
  ObjectWriter(block)
      .text("type", "tool_use")
      .text("id", id)
      .text("name", name)
      .raw("input", "{}")
      .close();
  open_block(out, Block::kToolUse, block);
}

void MessageStream::input_delta(std::string& out, std::string_view text) {
  CHECK(open_ == Block::kToolUse);
  delta(out, "input_json_delta", "partial_json", text);
}

void MessageStream::finish(std::string& out, const MessageEnd& end, const Usage& usage) {
  if (end.reason == FinishReason::kStop && !has_text_) open_text(out);
  if (open_ != Block::kNone) close_block(out);
  ObjectWriter event = begin_event(out, "message_delta");
  ObjectWriter ending(event.member("delta"));
  ending.text("stop_reason", stop_reason(end)).text_or_null("stop_sequence", end.stop_sequence);
  if (end.reasoning_truncated) ending.boolean("reasoning_truncated", true);
  ending.close();
  append_message_usage(event.member("usage"), usage);
  end_event(out, event);
  ObjectWriter stop = begin_event(out, "message_stop");
  end_event(out, stop);
}

}  // namespace hachi::api
