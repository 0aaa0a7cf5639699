#include "api/response_stream.h"

#include <utility>

#include "api/json_text.h"
#include "api/logprobs.h"
#include "api/response_object.h"
#include "core/check.h"

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

void ResponseStream::item_event(std::string& out, std::string_view type, std::string_view item) {
  ObjectWriter writer = begin_event(out, type, sequence_number_);
  writer.integer("output_index", item_index_).raw("item", item);
  end_event(out, writer);
}

void ResponseStream::open_item(std::string& out, Open kind) {
  if (open_ == kind) return;
  if (open_ != Open::kNothing) close_item(out, "completed");
  open_ = kind;
  const bool is_text = kind == Open::kText;
  has_message_ = has_message_ || is_text;
  item_id_ = item_id(is_text ? "msg_" : "rs_", head_.id, item_index_);

  std::string item;
  (is_text ? append_message_item : append_reasoning_item)(item, item_id_, "in_progress", "");
  item_event(out, "response.output_item.added", item);

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

// The end of thoughts or a text; `item` becomes the whole item.
void ResponseStream::close_part(std::string& out, std::string& item, std::string_view status) {
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

  if (!is_text && is_truncated_) status = "incomplete";
  (is_text ? append_message_item : append_reasoning_item)(item, item_id_, status, part_json);
}

void ResponseStream::close_call(std::string& out, std::string& item, std::string_view status) {
  ObjectWriter done = begin_event(out, "response.function_call_arguments.done", sequence_number_);
  done.text("item_id", item_id_)
      .integer("output_index", item_index_)
      .text("name", call_name_)
      .text("arguments", text_);
  end_event(out, done);
  append_call_item(item, item_id_, status, {call_id_, call_name_, text_});
}

void ResponseStream::close_item(std::string& out, std::string_view status) {
  std::string item;
  if (open_ == Open::kCall) {
    close_call(out, item, status);
  } else {
    close_part(out, item, status);
  }
  item_event(out, "response.output_item.done", item);
  if (!items_.empty()) items_ += ',';
  items_ += item;
  text_.clear();
  logprobs_.clear();
  ++item_index_;
  open_ = Open::kNothing;
}

void ResponseStream::function_call(std::string& out, std::string_view call_id,
                                   std::string_view name) {
  if (open_ != Open::kNothing) close_item(out, "completed");
  open_ = Open::kCall;
  call_id_ = call_id;
  call_name_ = name;
  item_id_ = item_id("fc_", head_.id, item_index_);
  std::string item;
  append_call_item(item, item_id_, "in_progress", {call_id_, call_name_, ""});
  item_event(out, "response.output_item.added", item);
}

void ResponseStream::arguments_delta(std::string& out, std::string_view delta) {
  CHECK(open_ == Open::kCall);
  text_ += delta;
  ObjectWriter writer =
      begin_event(out, "response.function_call_arguments.delta", sequence_number_);
  writer.text("item_id", item_id_).integer("output_index", item_index_).text("delta", delta);
  end_event(out, writer);
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
  const std::string_view status = response_status(reason);
  // Clients look for a message, so that one which ends by itself has one, be it empty.
  if (reason == FinishReason::kStop && !has_message_) open_item(out, Open::kText);
  if (open_ != Open::kNothing) close_item(out, status);
  lifecycle(out, status, &usage, nullptr);
}

void ResponseStream::fail(std::string& out, const ApiError& error) {
  lifecycle(out, "failed", nullptr, &error);
}

}  // namespace hachi::api
