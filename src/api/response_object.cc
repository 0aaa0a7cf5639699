#include "api/response_object.h"

#include "api/json_text.h"

namespace hachi::api {
namespace {

void append_response_usage(std::string& out, const Usage& usage) {
  ObjectWriter writer(out);
  writer.integer("input_tokens", usage.prompt_tokens);
  ObjectWriter(writer.member("input_tokens_details"))
      .integer("cached_tokens", usage.cached_tokens)
      .integer("cache_write_tokens", 0)
      .close();
  writer.integer("output_tokens", usage.completion_tokens);
  ObjectWriter(writer.member("output_tokens_details"))
      .integer("reasoning_tokens", usage.reasoning_tokens)
      .close();
  writer.integer("total_tokens", usage.prompt_tokens + usage.completion_tokens).close();
}

// The codes are a closed list in the official client.
std::string_view response_error_code(const ApiError& error) {
  if (error.status == 429) return "rate_limit_exceeded";
  return error.status < 500 ? "invalid_prompt" : "server_error";
}

}  // namespace

void append_response_object(std::string& out, const ResponseHead& head, std::string_view echo,
                            const ResponseState& state) {
  ObjectWriter writer(out);
  writer.text("id", head.id)
      .text("object", "response")
      .integer("created_at", head.created)
      .text("status", state.status)
      .text("model", head.model)
      .raw("output", "[");
  out += state.output;
  out += ']';
  if (state.status == "incomplete") {
    writer.raw("incomplete_details", R"({"reason":"max_output_tokens"})");
  } else {
    writer.null("incomplete_details");
  }
  if (state.error) {
    ObjectWriter(writer.member("error"))
        .text("code", response_error_code(*state.error))
        .text("message", state.error->message)
        .close();
  } else {
    writer.null("error");
  }
  if (state.usage) {
    append_response_usage(writer.member("usage"), *state.usage);
  } else {
    writer.null("usage");
  }
  out += ',';
  out += echo;
  writer.close();
}

void append_text_part(std::string& out, std::string_view text, std::string_view logprobs) {
  ObjectWriter writer(out);
  writer.text("type", "output_text")
      .text("text", text)
      .raw("annotations", "[]")
      .raw("logprobs", "[");
  out += logprobs;
  out += ']';
  writer.close();
}

void append_reasoning_part(std::string& out, std::string_view text) {
  ObjectWriter(out).text("type", "reasoning_text").text("text", text).close();
}

void append_message_item(std::string& out, std::string_view id, std::string_view status,
                         std::string_view part) {
  ObjectWriter writer(out);
  writer.text("id", id)
      .text("type", "message")
      .text("status", status)
      .text("role", "assistant")
      .raw("content", "[");
  out += part;
  out += ']';
  writer.close();
}

void append_reasoning_item(std::string& out, std::string_view id, std::string_view status,
                           std::string_view part) {
  ObjectWriter writer(out);
  writer.text("id", id)
      .text("type", "reasoning")
      .text("status", status)
      .raw("summary", "[]")
      .raw("content", "[");
  out += part;
  out += ']';
  writer.close();
}

void append_call_item(std::string& out, std::string_view id, std::string_view status,
                      const ToolCall& call) {
  ObjectWriter(out)
      .text("id", id)
      .text("type", "function_call")
      .text("status", status)
      .text("call_id", call.id)
      .text("name", call.name)
      .text("arguments", call.arguments)
      .close();
}

std::string_view response_status(FinishReason reason) {
  return reason == FinishReason::kLength ? "incomplete" : "completed";
}

std::string item_id(std::string_view prefix, std::string_view response_id, int64_t index) {
  const size_t mark = response_id.find('_');
  std::string out(prefix);
  out += response_id.substr(mark == response_id.npos ? 0 : mark + 1);
  out += '_';
  append_integer(out, index);
  return out;
}

}  // namespace hachi::api
