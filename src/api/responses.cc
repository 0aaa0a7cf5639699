#include "api/responses.h"

#include <utility>

#include <boost/json/serialize.hpp>

#include "api/fields.h"
#include "api/json_text.h"
#include "api/logprobs.h"
#include "api/response_object.h"

namespace hachi::api {
namespace {

// The texts of a list of parts, one after the other; the parts are checked.
std::string read_reasoning(FieldReader& item) {
  (void)item.text("id");
  (void)item.text("encrypted_content", kMaxTextBytes);
  (void)item.word("status", {"in_progress", "completed", "incomplete"});
  (void)read_content(item, "summary", {"summary_text"});
  return read_content(item, "content", {"reasoning_text"}).value_or("");
}

json::object read_message_item(FieldReader& item) {
  json::object message;
  (void)item.text("id");
  (void)item.word("status", {"in_progress", "completed", "incomplete"});
  (void)item.word("phase", {"commentary", "final_answer"});
  item.require("role");
  const auto role = item.word("role", {"system", "developer", "user", "assistant"});
  item.require("content");
  auto content = read_content(item, "content", {"input_text", "output_text"});
  if (role && content) message = {{"role", *role}, {"content", std::move(*content)}};
  return message;
}

// Thoughts belong to the assistant's message that follows them; where none does, they are of no
// use to the model and go.
void read_items(FieldReader& fields, const json::array& items, json::array& messages) {
  const std::string path = fields.path_of("input");
  if (items.empty()) fields.fail("input", "must have at least one item");
  std::string reasoning;
  for (size_t i = 0; i < items.size(); ++i) {
    auto item = read_element(items[i], path, i, fields.error());
    if (!item) return;
    const auto type = item->word("type", {"message", "reasoning"}).value_or("message");
    if (type == "reasoning") {
      reasoning = read_reasoning(*item);
    } else {
      json::object message = read_message_item(*item);
      if (fields.failed()) return;
      if (message["role"] == "assistant" && !reasoning.empty()) {
        message.emplace("reasoning_content", reasoning);
      }
      reasoning.clear();
      messages.push_back(std::move(message));
    }
    item->finish();
  }
  if (messages.empty()) fields.fail("input", "must have at least one message");
}

json::array read_input(FieldReader& fields, const std::optional<std::string>& instructions) {
  json::array messages;
  fields.require("input");
  const json::value* input = fields.any("input");
  if (!input) return messages;
  if (input->is_string()) {
    const auto text = fields.text("input", kMaxTextBytes);
    if (text) messages.push_back({{"role", "user"}, {"content", *text}});
  } else if (!input->is_array()) {
    fields.fail("input", "must be a string or a list of items, got {}", shown(*input));
  } else if (const json::array* items = fields.list("input", kMaxMessages)) {
    read_items(fields, *items, messages);
  }
  if (instructions) {
    messages.insert(messages.begin(), json::object{{"role", "system"}, {"content", *instructions}});
  }
  return messages;
}

void read_reasoning_config(FieldReader& fields, ResponsesRequest& out) {
  const json::object* reasoning = fields.object("reasoning");
  if (!reasoning) return;
  FieldReader reader(*reasoning, fields.path_of("reasoning"), fields.error());
  out.reasoning_effort =
      reader.word("effort", {"none", "minimal", "low", "medium", "high", "xhigh", "max"})
          .value_or("");
  // The thoughts themselves are given, and no summary of them.
  (void)reader.word("summary", {"auto", "concise", "detailed"});
  (void)reader.word("generate_summary", {"auto", "concise", "detailed"});
  (void)reader.word("context", {"auto"});
  (void)reader.word("mode", {"standard"});
  reader.finish();
  if (out.reasoning_effort == "none" && !out.prompt.enable_thinking) {
    out.prompt.enable_thinking = false;
  }
}

void read_text_config(FieldReader& fields) {
  const json::object* text = fields.object("text");
  if (!text) return;
  FieldReader reader(*text, fields.path_of("text"), fields.error());
  (void)reader.word("verbosity", {"medium"});
  if (const json::object* format = reader.object("format")) {
    FieldReader inner(*format, reader.path_of("format"), fields.error());
    inner.require("type");
    inner.unsupported("type", {"text"});
    inner.finish();
  }
  reader.finish();
}

void read_logprobs(FieldReader& fields, ResponsesRequest& out) {
  out.top_logprobs = fields.integer("top_logprobs", {0, kMaxTopLogprobs}).value_or(0);
  out.logprobs = out.top_logprobs > 0;
  const json::array* include = fields.list("include");
  if (!include) return;
  const std::string path = fields.path_of("include");
  for (size_t i = 0; i < include->size(); ++i) {
    const auto what = text_element((*include)[i], path, i, kMaxNameBytes, fields.error());
    if (what == "message.output_text.logprobs") {
      out.logprobs = true;
    } else if (what && *what != "reasoning.encrypted_content") {  // thoughts are given as they are
      fields.fail(element_path("include", i), "is not supported yet, got {}", shown((*include)[i]));
    }
  }
}

// What this server does not keep or run.
void refuse_state_and_tools(FieldReader& fields) {
  if (fields.any("previous_response_id")) {
    fields.fail("previous_response_id",
                "is not supported, because no responses are stored: send the whole conversation "
                "as `input`");
  }
  fields.unsupported("conversation");
  fields.unsupported("prompt");
  fields.unsupported("background");
  fields.unsupported("context_management");
  fields.unsupported("moderation");
  fields.unsupported("truncation", {"disabled"});
  fields.unsupported("tools");
  fields.unsupported("tool_choice", {"none", "auto"});
  (void)fields.integer("max_tool_calls", {1, kMaxInt32});
  (void)fields.boolean("parallel_tool_calls");
  (void)fields.boolean("store");  // true is what OpenAI assumes where it is left out
}

void append_optional(ObjectWriter& writer, std::string_view key, std::optional<double> value) {
  if (value) {
    writer.number(key, *value);
  } else {
    writer.null(key);
  }
}

// Members of an object, without its braces.
std::string echo_of(const ResponsesRequest& request, const std::optional<std::string>& instructions,
                    const json::object* metadata) {
  std::string out;
  ObjectWriter writer(out);
  if (instructions) {
    writer.text("instructions", *instructions);
  } else {
    writer.null("instructions");
  }
  if (request.max_output_tokens) {
    writer.integer("max_output_tokens", *request.max_output_tokens);
  } else {
    writer.null("max_output_tokens");
  }
  append_optional(writer, "temperature", request.sampling.temperature);
  append_optional(writer, "top_p", request.sampling.top_p);
  writer.integer("top_logprobs", request.top_logprobs)
      .raw("metadata", metadata ? json::serialize(*metadata) : "{}");
  ObjectWriter(writer.member("reasoning"))
      .text_or_null("effort", request.reasoning_effort)
      .null("summary")
      .close();
  writer.raw("text", R"({"format":{"type":"text"}})")
      .raw("tools", "[]")
      .text("tool_choice", "auto")
      .boolean("parallel_tool_calls", true)
      .null("previous_response_id")
      .boolean("background", false)
      .text("truncation", "disabled");
  return out.substr(1);
}

}  // namespace

ApiResult<ResponsesRequest> parse_responses_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  ResponsesRequest out;
  fields.require("model");
  out.model = fields.text("model").value_or("");
  const auto instructions = fields.text("instructions", kMaxTextBytes);
  out.messages = read_input(fields, instructions);
  out.sampling = read_sampling(fields);
  if (out.sampling.n != 1) fields.fail("n", "must be 1 here, got {}", out.sampling.n);
  out.stream = read_stream(fields).stream;
  out.schedule = read_schedule(fields);
  out.prompt = read_template_fields(fields, out.messages);
  out.max_output_tokens = fields.integer("max_output_tokens", {1, kMaxInt32});
  read_logprobs(fields, out);
  read_reasoning_config(fields, out);
  read_text_config(fields);
  refuse_state_and_tools(fields);
  const json::object* metadata = read_metadata(fields);
  read_bookkeeping(fields);
  fields.finish();
  if (!error) out.echo = echo_of(out, instructions, metadata);
  return value_or_error(std::move(out), error);
}

void append_response(std::string& out, const ResponseHead& head, const ResponsesRequest& request,
                     const ResponseOutput& output, FinishReason reason, const Usage& usage) {
  const std::string_view status = reason == FinishReason::kStop ? "completed" : "incomplete";
  const bool has_message = !output.text.empty() || reason == FinishReason::kStop;
  std::string items;
  if (!output.reasoning.empty()) {
    std::string part;
    append_reasoning_part(part, output.reasoning);
    append_reasoning_item(items, item_id("rs_", head.id, 0), has_message ? "completed" : status,
                          part);
  }
  if (has_message) {
    std::string logprobs;
    if (output.logprobs) append_logprob_items(logprobs, *output.logprobs);
    std::string part;
    append_text_part(part, output.text, logprobs);
    if (!items.empty()) items += ',';
    append_message_item(items, item_id("msg_", head.id, items.empty() ? 0 : 1), status, part);
  }
  append_response_object(out, head, request.echo, {status, items, &usage, nullptr});
}

}  // namespace hachi::api
