#include "api/response_stream.h"

#include <utility>

#include "api/json_text.h"
#include "api/logprobs.h"
#include "api/response_object.h"

namespace hachi::api {
namespace {

// An event as an ObjectWriter that has its type and sequence number; end_event closes it.
ObjectWriter begin_event(std::string& out, std::string_view type, int64_t& sequence_number) {
  out += "event: ";
  out += type;
  out += "\ndata: ";
  ObjectWriter writer(out);
  writer.text("type", type).integer("sequence_number", sequence_number++);
  return writer;
}

void end_event(std::string& out, ObjectWriter& writer) {
  writer.close();
  out += "\n\n";
}

// Where in the output a part stands: each item has one.
void put_place(ObjectWriter& writer, std::string_view item_id, int64_t item_index) {
  writer.text("item_id", item_id).integer("output_index", item_index).integer("content_index", 0);
}

void put_logprobs(std::string& out, ObjectWriter& writer, std::string_view logprobs) {
  writer.raw("logprobs", "[");
  out += logprobs;
  out += ']';
}

}  // namespace

ResponseStream::ResponseStream(ResponseHead head, const ResponsesRequest& request)
    : head_(std::move(head)), echo_(request.echo) {}

void ResponseStream::lifecycle(std::string& out, std::string_view type, const Usage* usage,
                               const ApiError* error) {
  ObjectWriter writer = begin_event(out, fmt::format("response.{}", type), sequence_number_);
  const std::string_view status = type == "created" ? "in_progress" : type;
  append_response_object(writer.member("response"), head_, echo_, {status, items_, usage, error});
  end_event(out, writer);
}

void ResponseStream::start(std::string& out) {
  lifecycle(out, "created", nullptr, nullptr);
  lifecycle(out, "in_progress", nullptr, nullptr);
}

void ResponseStream::open_item(std::string& out, Open kind) {
  if (open_ == kind) return;
  if (open_ != Open::kNothing) close_item(out, "completed");
  open_ = kind;
  const bool is_text = kind == Open::kText;
  has_message_ = has_message_ || is_text;
  item_id_ = item_id(is_text ? "msg_" : "rs_", head_.id, item_index_);

  ObjectWriter item = begin_event(out, "response.output_item.added", sequence_number_);
  item.integer("output_index", item_index_).member("item");
  (is_text ? append_message_item : append_reasoning_item)(out, item_id_, "in_progress", "");
  end_event(out, item);

  ObjectWriter part = begin_event(out, "response.content_part.added", sequence_number_);
  put_place(part, item_id_, item_index_);
  part.member("part");
  if (is_text) {
    append_text_part(out, "", "");
  } else {
    append_reasoning_part(out, "");
  }
  end_event(out, part);
}

void ResponseStream::close_item(std::string& out, std::string_view status) {
  const bool is_text = open_ == Open::kText;
  ObjectWriter done =
      begin_event(out, is_text ? "response.output_text.done" : "response.reasoning_text.done",
                  sequence_number_);
  put_place(done, item_id_, item_index_);
  done.text("text", text_);
  if (is_text) put_logprobs(out, done, logprobs_);
  end_event(out, done);

  std::string part_json;
  if (is_text) {
    append_text_part(part_json, text_, logprobs_);
  } else {
    append_reasoning_part(part_json, text_);
  }
  ObjectWriter part = begin_event(out, "response.content_part.done", sequence_number_);
  put_place(part, item_id_, item_index_);
  part.raw("part", part_json);
  end_event(out, part);

  std::string item_json;
  (is_text ? append_message_item : append_reasoning_item)(item_json, item_id_, status, part_json);
  ObjectWriter item = begin_event(out, "response.output_item.done", sequence_number_);
  item.integer("output_index", item_index_).raw("item", item_json);
  end_event(out, item);

  if (!items_.empty()) items_ += ',';
  items_ += item_json;
  text_.clear();
  logprobs_.clear();
  ++item_index_;
  open_ = Open::kNothing;
}

void ResponseStream::reasoning_delta(std::string& out, std::string_view delta) {
  open_item(out, Open::kReasoning);
  text_ += delta;
  ObjectWriter writer = begin_event(out, "response.reasoning_text.delta", sequence_number_);
  put_place(writer, item_id_, item_index_);
  writer.text("delta", delta);
  end_event(out, writer);
}

void ResponseStream::text_delta(std::string& out, std::string_view delta,
                                std::span<const TokenLogprob> logprobs) {
  open_item(out, Open::kText);
  text_ += delta;
  const size_t before = logprobs_.size();
  if (!logprobs.empty()) {
    if (before > 0) logprobs_ += ',';
    append_logprob_items(logprobs_, logprobs);
  }
  ObjectWriter writer = begin_event(out, "response.output_text.delta", sequence_number_);
  put_place(writer, item_id_, item_index_);
  writer.text("delta", delta);
  const size_t skipped = before > 0 && !logprobs.empty() ? before + 1 : before;  // the comma
  put_logprobs(out, writer, std::string_view(logprobs_).substr(skipped));
  end_event(out, writer);
}

void ResponseStream::finish(std::string& out, FinishReason reason, const Usage& usage) {
  const std::string_view status = reason == FinishReason::kStop ? "completed" : "incomplete";
  // Clients look for a message, so that one which ends by itself has one, be it empty.
  if (reason == FinishReason::kStop && !has_message_) open_item(out, Open::kText);
  if (open_ != Open::kNothing) close_item(out, status);
  lifecycle(out, status, &usage, nullptr);
}

void ResponseStream::fail(std::string& out, const ApiError& error) {
  lifecycle(out, "failed", nullptr, &error);
}

}  // namespace hachi::api
