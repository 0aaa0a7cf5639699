#include "api/message_stream.h"

#include "api/json_text.h"

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

void MessageStream::open_block(std::string& out, Block block) {
  if (open_ == block) return;
  if (open_ != Block::kNone) close_block(out);
  open_ = block;
  has_text_ = has_text_ || block == Block::kText;
  ObjectWriter event = begin_event(out, "content_block_start");
  event.integer("index", index_)
      .raw("content_block", block == Block::kText
                                ? R"({"type":"text","text":"","citations":null})"
                                : R"({"type":"thinking","thinking":"","signature":""})");
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

void MessageStream::thinking_delta(std::string& out, std::string_view text) {
  open_block(out, Block::kThinking);
  delta(out, "thinking_delta", "thinking", text);
}

void MessageStream::text_delta(std::string& out, std::string_view text) {
  open_block(out, Block::kText);
  delta(out, "text_delta", "text", text);
}

void MessageStream::finish(std::string& out, const MessageEnd& end, const Usage& usage) {
  if (end.reason == FinishReason::kStop && !has_text_) open_block(out, Block::kText);
  if (open_ != Block::kNone) close_block(out);
  ObjectWriter event = begin_event(out, "message_delta");
  ObjectWriter(event.member("delta"))
      .text("stop_reason", stop_reason(end))
      .text_or_null("stop_sequence", end.stop_sequence)
      .close();
  append_message_usage(event.member("usage"), usage);
  end_event(out, event);
  ObjectWriter stop = begin_event(out, "message_stop");
  end_event(out, stop);
}

}  // namespace hachi::api
