#include "api/responses.h"

#include <utility>

#include <boost/json/serialize.hpp>

#include "api/fields.h"
#include "api/json_text.h"
#include "api/logprobs.h"
#include "api/response_input.h"
#include "api/response_object.h"

namespace hachi::api {
namespace {

OutputFormat read_text_config(FieldReader& fields) {
  OutputFormat out;
  const json::object* text = fields.object("text");
  if (!text) return out;
  FieldReader reader(*text, fields.path_of("text"), fields.error());
  (void)reader.word("verbosity", {"medium"});
  out = read_text_format(reader);
  reader.finish();
  return out;
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

// What this server does not keep.
void refuse_state(FieldReader& fields) {
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
  (void)fields.integer("max_tool_calls", {1, kMaxInt32});  // of tools that the server runs
  (void)fields.boolean("store");  // true is what OpenAI assumes where it is left out
}

void append_optional(ObjectWriter& writer, std::string_view key, std::optional<double> value) {
  if (value) {
    writer.number(key, *value);
  } else {
    writer.null(key);
  }
}

// A field of the request as it came, or what stands for it where it was left out.
std::string as_given(const json::object& request, std::string_view name, std::string_view absent) {
  const json::value* value = request.if_contains(name);
  return value && !value->is_null() ? json::serialize(*value) : std::string(absent);
}

// Members of an object, without its braces. `object` is the request, whose fields are checked.
std::string echo_of(const ResponsesRequest& request, const json::object& object) {
  std::string out;
  ObjectWriter writer(out);
  writer.raw("instructions", as_given(object, "instructions", "null"));
  if (request.max_output_tokens) {
    writer.integer("max_output_tokens", *request.max_output_tokens);
  } else {
    writer.null("max_output_tokens");
  }
  append_optional(writer, "temperature", request.sampling.temperature);
  append_optional(writer, "top_p", request.sampling.top_p);
  writer.integer("top_logprobs", request.top_logprobs)
      .raw("metadata", as_given(object, "metadata", "{}"));
  ObjectWriter(writer.member("reasoning"))
      .text_or_null("effort", request.reasoning.effort)
      .null("summary")
      .close();
  constexpr std::string_view kPlainText = R"({"type":"text"})";
  const json::value* text = object.if_contains("text");
  const json::object* config = text ? text->if_object() : nullptr;
  ObjectWriter(writer.member("text"))
      .raw("format", config ? as_given(*config, "format", kPlainText) : std::string(kPlainText))
      .close();
  writer.raw("tools", as_given(object, "tools", "[]"))
      .raw("tool_choice", as_given(object, "tool_choice", R"("auto")"))
      .boolean("parallel_tool_calls", request.tools.parallel)
      .null("previous_response_id")
      .boolean("background", false)
      .text("truncation", "disabled");
  return out.substr(1);
}

// The items of an answer as they are added: only the last of them can be cut short.
class ItemList {
 public:
  ItemList(const ResponseHead& head, std::string_view last_status, size_t num_items)
      : head_(head), last_status_(last_status), num_items_(num_items) {}

  void add_reasoning(std::string_view text, bool is_truncated) {
    std::string part;
    append_reasoning_part(part, text);
    const std::string id = next_id("rs_");
    append_reasoning_item(out_, id, is_truncated ? "incomplete" : status(), part);
  }

  void add_message(const ResponseOutput& output) {
    std::string logprobs, part;
    if (output.logprobs) append_logprob_items(logprobs, *output.logprobs);
    append_text_part(part, output.text, logprobs);
    const std::string id = next_id("msg_");
    append_message_item(out_, id, status(), part);
  }

  void add_call(const ToolCall& call) {
    const std::string id = next_id("fc_");
    append_call_item(out_, id, status(), call);
  }

  const std::string& text() const { return out_; }

 private:
  // Begins an item.
  std::string next_id(std::string_view prefix) {
    if (num_added_ > 0) out_ += ',';
    return item_id(prefix, head_.id, static_cast<int64_t>(num_added_++));
  }

  std::string_view status() const {
    return num_added_ == num_items_ ? last_status_ : std::string_view("completed");
  }

  const ResponseHead& head_;
  std::string_view last_status_;
  size_t num_items_;
  size_t num_added_ = 0;
  std::string out_;
};

}  // namespace

ApiResult<ResponsesRequest> parse_responses_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  ResponsesRequest out;
  fields.require("model");
  out.model = fields.text("model").value_or("");
  const auto instructions = fields.text("instructions", kMaxTextBytes);
  out.messages = read_response_input(fields, instructions);
  out.sampling = read_sampling(fields);
  if (out.sampling.n != 1) fields.fail("n", "must be 1 here, got {}", out.sampling.n);
  out.stream = read_stream(fields).stream;
  out.schedule = read_schedule(fields);
  out.prompt = read_template_fields(fields, out.messages);
  out.max_output_tokens = fields.integer("max_output_tokens", {1, kMaxInt32});
  read_logprobs(fields, out);
  out.reasoning = read_reasoning(fields, out.prompt);
  out.format = read_text_config(fields);
  out.tools = read_response_tools(fields);
  refuse_state(fields);
  read_bookkeeping(fields);
  fields.finish();
  if (!error) out.echo = echo_of(out, object);
  return value_or_error(std::move(out), error);
}

void append_response(std::string& out, const ResponseHead& head, const ResponsesRequest& request,
                     const ResponseOutput& output, FinishReason reason, const Usage& usage) {
  const std::string_view status = response_status(reason);
  const bool has_reasoning = !output.reasoning.empty();
  const bool has_message = !output.text.empty() || reason == FinishReason::kStop;
  ItemList items(head, status, has_reasoning + has_message + output.tool_calls.size());
  if (has_reasoning) items.add_reasoning(output.reasoning, output.reasoning_truncated);
  if (has_message) items.add_message(output);
  for (const ToolCall& call : output.tool_calls) items.add_call(call);
  append_response_object(out, head, request.echo, {status, items.text(), &usage, nullptr});
}

}  // namespace hachi::api
