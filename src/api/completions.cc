#include "api/completions.h"

#include "api/fields.h"
#include "api/json_text.h"
#include "api/logprobs.h"

namespace hachi::api {
namespace {

// Answers that are drawn and thrown away are not worth their time: best_of has to be n.
void read_best_of(FieldReader& fields, int64_t n) {
  const auto best_of = fields.integer("best_of", {1, kMaxChoices});
  if (best_of && *best_of != n) {
    fields.fail("best_of", "must be the same as n, which is {}, got {}", n, *best_of);
  }
}

void check_counts(FieldReader& fields, const CompletionRequest& request) {
  const auto prompts = static_cast<int64_t>(request.prompts.size());
  if (prompts * request.sampling.n > kMaxCompletionChoices) {
    fields.fail("n", "times the {} prompts must be at most {}, got {}", prompts,
                kMaxCompletionChoices, prompts * request.sampling.n);
  }
  if (request.sampling.min_tokens > request.max_tokens) {
    fields.fail("min_tokens", "must be at most max_tokens, which is {}, got {}", request.max_tokens,
                request.sampling.min_tokens);
  }
}

void append_choice(std::string& out, const CompletionChoice& choice) {
  out += R"({"index":)";
  append_integer(out, choice.index);
  out += R"(,"text":)";
  append_json_string(out, choice.text);
  out += R"(,"logprobs":)";
  if (choice.logprobs) {
    append_completion_logprobs(out, choice.logprobs->tokens, choice.logprobs->text_offset);
  } else {
    out += "null";
  }
  out += R"(,"finish_reason":)";
  if (choice.finish_reason) {
    out += '"';
    out += to_string(*choice.finish_reason);
    out += "\"}";
  } else {
    out += "null}";
  }
}

}  // namespace

ApiResult<CompletionRequest> parse_completion_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  CompletionRequest out;
  fields.require("model");
  out.model = fields.text("model").value_or("");
  out.prompts = read_prompts(fields, "prompt");
  out.sampling = read_sampling(fields);
  out.stream = read_stream(fields);
  out.schedule = read_schedule(fields);
  out.max_tokens = fields.integer("max_tokens", {0, kMaxInt32}).value_or(kDefaultCompletionTokens);
  out.echo = fields.boolean("echo").value_or(false);
  out.logprobs = fields.integer("logprobs", {0, kMaxTopLogprobs});
  out.add_special_tokens = fields.boolean("add_special_tokens").value_or(true);
  out.format = read_output_format(fields);
  read_best_of(fields, out.sampling.n);
  check_counts(fields, out);
  fields.unsupported("suffix", {""});
  fields.unsupported("store");
  read_bookkeeping(fields);
  fields.finish();
  return value_or_error(std::move(out), error);
}

void append_completion_response(std::string& out, const ResponseHead& head,
                                std::span<const CompletionChoice> choices, const Usage& usage) {
  ObjectWriter writer(out);
  writer.text("id", head.id)
      .text("object", "text_completion")
      .integer("created", head.created)
      .text("model", head.model)
      .member("choices") += '[';
  Separator comma;
  for (const CompletionChoice& choice : choices) {
    comma(out);
    append_choice(out, choice);
  }
  out += ']';
  append_usage(writer.member("usage"), usage);
  writer.close();
}

ChunkHead completion_chunk_head(const ResponseHead& head, bool include_usage) {
  return chunk_head(head, "text_completion", include_usage);
}

void append_completion_chunk(std::string& out, const ChunkHead& head,
                             const CompletionChoice& choice) {
  out += head.begin;
  append_choice(out, choice);
  out += head.end;
}

}  // namespace hachi::api
