#include "api/anthropic_messages.h"

#include <utility>

#include "api/anthropic_conversation.h"
#include "api/fields.h"
#include "api/json_text.h"
#include "formats/json.h"

namespace hachi::api {
namespace {

ReasoningFields read_thinking(FieldReader& fields, int64_t max_tokens) {
  ReasoningFields out{.enable = false, .include = false};
  const json::object* thinking = fields.object("thinking");
  if (!thinking) return out;
  FieldReader reader(*thinking, "thinking", fields.error());
  reader.require("type");
  const auto type = reader.word("type", {"enabled", "disabled", "adaptive"});
  if (type == "enabled") {
    reader.require("budget_tokens");
    out.budget = reader.integer("budget_tokens", {1, kMaxInt32});
    if (out.budget && max_tokens > 0 && *out.budget >= max_tokens) {
      reader.fail("budget_tokens", "must be less than max_tokens, which is {}, got {}", max_tokens,
                  *out.budget);
    }
    out.enable = true;
  } else if (type == "adaptive") {
    out.enable.reset();
  }
  const auto display = reader.word("display", {"summarized", "omitted"});
  out.include = type != "disabled" && display != "omitted";
  reader.finish();
  return out;
}

// `output_format` is what its beta called the format.
void read_output_config(FieldReader& fields, MessagesRequest& out) {
  out.format = read_anthropic_format(fields, "output_format");
  const json::object* config = fields.object("output_config");
  if (!config) return;
  FieldReader reader(*config, "output_config", fields.error());
  out.reasoning.effort =
      reader.word("effort", {"low", "medium", "high", "xhigh", "max"}).value_or("");
  out.format =
      one_format(std::move(out.format), read_anthropic_format(reader, "format"), fields.error());
  reader.finish();
}

// What a message and the count of its tokens have in common.
void read_common(FieldReader& fields, MessagesRequest& out) {
  fields.require("model");
  out.model = fields.text("model").value_or("");
  out.messages = read_anthropic_conversation(fields);
  out.reasoning = read_thinking(fields, out.max_tokens);
  read_output_config(fields, out);
  out.tools = read_anthropic_tools(fields);
  fields.ignore("cache_control");  // common beginnings are found without it
  (void)fields.word("speed", {"standard"});
  if (fields.failed()) return;
  out.continue_final_message = out.messages.back().get_object().at("role") == "assistant";
}

void read_user(FieldReader& fields) {
  const json::object* metadata = fields.object("metadata");
  if (!metadata) return;
  FieldReader reader(*metadata, "metadata", fields.error());
  (void)reader.text("user_id");
  reader.finish();
}

// The input of a call has to be an object, and what the model wrote need not be one where it was
// broken off. Then the text stands under the key that Anthropic names for this.
void append_input(std::string& out, std::string_view arguments) {
  if (arguments.empty()) {
    out += "{}";
  } else if (formats::parse_json_object(arguments, "the arguments")) {
    out += arguments;
  } else {
    ObjectWriter(out).text("INVALID_JSON", arguments).close();
  }
}

void append_blocks(std::string& out, const MessageOutput& output, FinishReason reason) {
  Separator comma;
  if (!output.thinking.empty()) {
    comma(out);
    ObjectWriter(out)
        .text("type", "thinking")
        .text("thinking", output.thinking)
        .text("signature", "")
        .close();
  }
  if (!output.text.empty() || reason == FinishReason::kStop) {
    comma(out);
    ObjectWriter(out).text("type", "text").text("text", output.text).null("citations").close();
  }
  for (const ToolCall& call : output.tool_calls) {
    comma(out);
    ObjectWriter block(out);
    block.text("type", "tool_use").text("id", call.id).text("name", call.name);
    append_input(block.member("input"), call.arguments);
    block.close();
  }
}

}  // namespace

ApiResult<MessagesRequest> parse_messages_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  MessagesRequest out;
  fields.require("max_tokens");
  out.max_tokens = fields.integer("max_tokens", {1, kMaxInt32}).value_or(0);
  read_common(fields, out);
  read_temperature_and_top_p(fields, 1, out.sampling);
  out.sampling.top_k = read_top_k(fields);
  out.sampling.stop = read_stop(fields, "stop_sequences");
  out.stream = fields.boolean("stream").value_or(false);
  (void)fields.word("service_tier", {"auto", "standard_only"});
  read_user(fields);
  fields.finish();
  return value_or_error(std::move(out), error);
}

ApiResult<MessagesRequest> parse_count_tokens_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  MessagesRequest out;
  read_common(fields, out);
  fields.finish();
  return value_or_error(std::move(out), error);
}

void append_count_tokens_response(std::string& out, int64_t input_tokens) {
  ObjectWriter(out).integer("input_tokens", input_tokens).close();
}

std::string_view stop_reason(const MessageEnd& end) {
  if (!end.stop_sequence.empty()) return "stop_sequence";
  switch (end.reason) {
    case FinishReason::kStop:
      return "end_turn";
    case FinishReason::kLength:
      return "max_tokens";
    case FinishReason::kToolCalls:
      break;
  }
  return "tool_use";
}

void append_message_usage(std::string& out, const Usage& usage) {
  ObjectWriter writer(out);
  writer.integer("input_tokens", usage.prompt_tokens - usage.cached_tokens)
      .integer("cache_creation_input_tokens", 0)
      .integer("cache_read_input_tokens", usage.cached_tokens)
      .integer("output_tokens", usage.completion_tokens);
  ObjectWriter(writer.member("output_tokens_details"))
      .integer("thinking_tokens", usage.reasoning_tokens)
      .close();
  writer.close();
}

void append_message(std::string& out, const ResponseHead& head, const MessageOutput& output,
                    const MessageEnd& end, const Usage& usage) {
  ObjectWriter writer(out);
  writer.text("id", head.id)
      .text("type", "message")
      .text("role", "assistant")
      .text("model", head.model)
      .member("content") += '[';
  append_blocks(out, output, end.reason);
  out += ']';
  writer.text("stop_reason", stop_reason(end)).text_or_null("stop_sequence", end.stop_sequence);
  if (end.reasoning_truncated) writer.boolean("reasoning_truncated", true);
  append_message_usage(writer.member("usage"), usage);
  writer.close();
}

}  // namespace hachi::api
