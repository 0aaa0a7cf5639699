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

// {"type": "text"} is what everybody gets.
void read_response_format(FieldReader& fields) {
  const json::object* format = fields.object("response_format");
  if (!format) return;
  FieldReader reader(*format, fields.path_of("response_format"), fields.error());
  reader.require("type");
  reader.unsupported("type", {"text"});
  reader.finish();
}

void read_modalities(FieldReader& fields) {
  const json::array* modalities = fields.list("modalities");
  if (!modalities) return;
  for (const json::value& modality : *modalities) {
    if (modality != "text") fields.fail("modalities", "must be [\"text\"]");
  }
}

// Tools come in a later release.
void refuse_tools(FieldReader& fields) {
  fields.unsupported("tools");
  fields.unsupported("tool_choice", {"none", "auto"});
  (void)fields.boolean("parallel_tool_calls");
  fields.unsupported("functions");
  fields.unsupported("function_call", {"none", "auto"});
}

void append_text(std::string& out, std::string_view name, std::string_view text) {
  if (text.empty()) return;
  out += name;
  append_json_string(out, text);
}

void append_choice(std::string& out, const ChatChoice& choice) {
  out += R"({"index":)";
  append_integer(out, choice.index);
  out += R"(,"message":{"role":"assistant","content":)";
  append_json_string(out, choice.content);
  append_text(out, R"(,"reasoning_content":)", choice.reasoning);
  out += R"(},"logprobs":)";
  if (choice.logprobs) {
    append_chat_logprobs(out, *choice.logprobs);
  } else {
    out += "null";
  }
  out += R"(,"finish_reason":")";
  out += to_string(choice.finish_reason);
  out += "\"}";
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
  out.include_reasoning = fields.boolean("include_reasoning").value_or(true);
  out.reasoning_effort =
      fields.word("reasoning_effort", {"none", "minimal", "low", "medium", "high", "xhigh", "max"})
          .value_or("");
  if (out.reasoning_effort == "none" && !out.prompt.enable_thinking) {
    out.prompt.enable_thinking = false;
  }
  read_response_format(fields);
  read_modalities(fields);
  refuse_tools(fields);
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
  out += R"({"index":)";
  append_integer(out, delta.index);
  out += R"(,"delta":{)";
  if (delta.role) {
    out += R"("role":"assistant","content":)";
    append_json_string(out, delta.content);
  } else {
    append_text(out, R"("content":)", delta.content);
  }
  if (delta.role || !delta.content.empty()) {
    append_text(out, R"(,"reasoning_content":)", delta.reasoning);
  } else {
    append_text(out, R"("reasoning_content":)", delta.reasoning);
  }
  if (delta.logprobs) {
    out += R"(},"logprobs":)";
    append_chat_logprobs(out, *delta.logprobs);
    out += R"(,"finish_reason":)";
  } else {
    out += R"(},"logprobs":null,"finish_reason":)";
  }
  if (delta.finish_reason) {
    out += '"';
    out += to_string(*delta.finish_reason);
    out += "\"}";
  } else {
    out += "null}";
  }
  out += head.end;
}

}  // namespace hachi::api
