#include "api/chat_completions.h"

#include "api/fields.h"
#include "api/json_text.h"
#include "api/logprobs.h"

namespace hachi::api {
namespace {

// The older name and the newer one.
std::optional<int64_t> read_max_tokens(FieldReader& fields, const SamplingFields& sampling) {
  const auto older = fields.integer("max_tokens", {1, kMaxInt32});
  const auto newer = fields.integer("max_completion_tokens", {1, kMaxInt32});
  if (older && newer && *older != *newer) {
    fields.fail("max_tokens", "is {} and max_completion_tokens is {}: give one of them", *older,
                *newer);
  }
  const auto max_tokens = newer ? newer : older;
  if (max_tokens && sampling.min_tokens > *max_tokens) {
    fields.fail("min_tokens", "must be at most max_tokens, which is {}, got {}", *max_tokens,
                sampling.min_tokens);
  }
  return max_tokens;
}

void read_logprobs(FieldReader& fields, ChatRequest& out) {
  out.logprobs = fields.boolean("logprobs").value_or(false);
  out.top_logprobs = fields.integer("top_logprobs", {0, kMaxTopLogprobs}).value_or(0);
  if (out.top_logprobs > 0 && !out.logprobs) {
    fields.fail("top_logprobs", "needs \"logprobs\": true");
  }
}

ReasoningName read_reasoning_name(FieldReader& fields) {
  const auto name = fields.word("reasoning_field", {"reasoning_content", "reasoning"});
  return name == "reasoning" ? ReasoningName::kReasoning : ReasoningName::kReasoningContent;
}

void read_modalities(FieldReader& fields) {
  const json::array* modalities = fields.list("modalities");
  if (!modalities) return;
  for (const json::value& modality : *modalities) {
    if (modality != "text") fields.fail("modalities", "must be [\"text\"]");
  }
}

std::string_view key_of(ReasoningName name) {
  return name == ReasoningName::kReasoning ? "reasoning" : "reasoning_content";
}

void append_function(std::string& out, std::string_view name, std::string_view arguments) {
  ObjectWriter function(out);
  if (!name.empty()) function.text("name", name);
  function.text("arguments", arguments).close();
}

void append_tool_calls(std::string& out, std::span<const ToolCall> calls) {
  out += '[';
  Separator comma;
  for (const ToolCall& call : calls) {
    comma(out);
    ObjectWriter writer(out);
    writer.text("id", call.id).text("type", "function");
    append_function(writer.member("function"), call.name, call.arguments);
    writer.close();
  }
  out += ']';
}

void append_tool_call_delta(std::string& out, const ToolCallDelta& call) {
  out += '[';
  ObjectWriter writer(out);
  writer.integer("index", call.index);
  if (!call.id.empty()) writer.text("id", call.id).text("type", "function");
  append_function(writer.member("function"), call.name, call.arguments);
  writer.close();
  out += ']';
}

void append_message(std::string& out, const ChatChoice& choice) {
  ObjectWriter message(out);
  message.text("role", "assistant");
  if (choice.content.empty() && !choice.tool_calls.empty()) {
    message.null("content");
  } else {
    message.text("content", choice.content);
  }
  if (!choice.reasoning.empty()) message.text(key_of(choice.reasoning_name), choice.reasoning);
  if (choice.reasoning_truncated) message.boolean("reasoning_truncated", true);
  if (!choice.tool_calls.empty()) {
    append_tool_calls(message.member("tool_calls"), choice.tool_calls);
  }
  message.close();
}

void append_delta(std::string& out, const ChatDelta& delta) {
  ObjectWriter writer(out);
  if (delta.role) writer.text("role", "assistant");
  if (delta.role || !delta.content.empty()) writer.text("content", delta.content);
  if (!delta.reasoning.empty()) writer.text(key_of(delta.reasoning_name), delta.reasoning);
  if (delta.reasoning_truncated) writer.boolean("reasoning_truncated", true);
  if (delta.tool_call) append_tool_call_delta(writer.member("tool_calls"), *delta.tool_call);
  writer.close();
}

// Members that a choice and a chunk of one have alike.
void append_logprobs_and_end(std::string& out, ObjectWriter& choice,
                             const std::optional<std::span<const TokenLogprob>>& logprobs,
                             std::optional<FinishReason> finish_reason) {
  if (logprobs) {
    choice.member("logprobs");
    append_chat_logprobs(out, *logprobs);
  } else {
    choice.null("logprobs");
  }
  choice.text_or_null("finish_reason",
                      finish_reason ? to_string(*finish_reason) : std::string_view());
  choice.close();
}

void append_choice(std::string& out, const ChatChoice& choice) {
  ObjectWriter writer(out);
  append_message(writer.integer("index", choice.index).member("message"), choice);
  append_logprobs_and_end(out, writer, choice.logprobs, choice.finish_reason);
}

}  // namespace

ApiResult<ChatRequest> parse_chat_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  ChatRequest out;
  fields.require("model");
  out.model = fields.text("model").value_or("");
  out.messages = read_messages(fields, "messages");
  out.sampling = read_sampling(fields);
  out.stream = read_stream(fields);
  out.schedule = read_schedule(fields);
  out.prompt = read_template_fields(fields, out.messages);
  out.max_tokens = read_max_tokens(fields, out.sampling);
  read_logprobs(fields, out);
  out.reasoning = read_reasoning(fields, out.prompt);
  out.reasoning_name = read_reasoning_name(fields);
  out.format = read_output_format(fields);
  out.tools = read_chat_tools(fields);
  read_modalities(fields);
  fields.unsupported("audio");
  fields.unsupported("moderation");
  fields.unsupported("prediction");
  fields.unsupported("store");
  fields.unsupported("web_search_options");
  read_bookkeeping(fields);
  fields.finish();
  return value_or_error(std::move(out), error);
}

void append_chat_response(std::string& out, const ResponseHead& head,
                          std::span<const ChatChoice> choices, const Usage& usage) {
  ObjectWriter writer(out);
  writer.text("id", head.id)
      .text("object", "chat.completion")
      .integer("created", head.created)
      .text("model", head.model)
      .member("choices") += '[';
  Separator comma;
  for (const ChatChoice& choice : choices) {
    comma(out);
    append_choice(out, choice);
  }
  out += ']';
  append_usage(writer.member("usage"), usage);
  writer.close();
}

ChunkHead chat_chunk_head(const ResponseHead& head, bool include_usage) {
  return chunk_head(head, "chat.completion.chunk", include_usage);
}

void append_chat_chunk(std::string& out, const ChunkHead& head, const ChatDelta& delta) {
  out += head.begin;
  ObjectWriter choice(out);
  append_delta(choice.integer("index", delta.index).member("delta"), delta);
  append_logprobs_and_end(out, choice, delta.logprobs, delta.finish_reason);
  out += head.end;
}

}  // namespace hachi::api
