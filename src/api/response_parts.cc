#include "api/response_parts.h"

#include "api/json_text.h"

namespace hachi::api {

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kToolCalls:
      break;
  }
  return "tool_calls";
}

void append_usage(std::string& out, const Usage& usage) {
  ObjectWriter writer(out);
  writer.integer("prompt_tokens", usage.prompt_tokens)
      .integer("completion_tokens", usage.completion_tokens)
      .integer("total_tokens", usage.prompt_tokens + usage.completion_tokens);
  ObjectWriter(writer.member("prompt_tokens_details"))
      .integer("cached_tokens", usage.cached_tokens)
      .close();
  ObjectWriter(writer.member("completion_tokens_details"))
      .integer("reasoning_tokens", usage.reasoning_tokens)
      .close();
  writer.close();
}

void append_done(std::string& out) { out += "data: [DONE]\n\n"; }

ChunkHead chunk_head(const ResponseHead& head, std::string_view object, bool include_usage) {
  ChunkHead out;
  out.begin = "data: ";
  ObjectWriter(out.begin)
      .text("id", head.id)
      .text("object", object)
      .integer("created", head.created)
      .text("model", head.model)
      .member("choices") += '[';
  out.end = include_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
  return out;
}

void append_usage_chunk(std::string& out, const ChunkHead& head, const Usage& usage) {
  out += head.begin;
  out += "],\"usage\":";
  append_usage(out, usage);
  out += "}\n\n";
}

}  // namespace hachi::api
