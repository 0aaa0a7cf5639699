#include "server/generation.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace hachi::server {

std::string token_text(const tokenizer::Tokenizer& tokenizer, int32_t token) {
  std::string bytes = tokenizer.token_bytes(token);
  return bytes.empty() ? std::string(tokenizer.token(token)) : bytes;
}

ScoredToken scored_token(const tokenizer::Tokenizer& tokenizer, const engine::TokenEvent& event) {
  ScoredToken scored{token_text(tokenizer, event.chosen.token), event.chosen.logprob};
  for (const engine::TokenLogprob& one : event.most_likely()) {
    scored.top.push_back({token_text(tokenizer, one.token), one.logprob});
  }
  return scored;
}

Result<Generation> Generation::start(const std::shared_ptr<ServedModel>& model,
                                     const engine::Request& request,
                                     std::unique_ptr<engine::Constraint> constraint,
                                     TextOptions options) {
  TRY(auto stream, model->engine.submit(request, std::move(constraint)));
  return Generation(model, std::move(stream), request, std::move(options));
}

Generation::Generation(std::shared_ptr<ServedModel> model, std::shared_ptr<engine::Stream> stream,
                       const engine::Request& request, TextOptions options)
    : model_(std::move(model)),
      stream_(std::move(stream)),
      text_(model_->parts.tokenizer, {.skip_special = options.skip_special,
                                      .automaton = options.automaton,
                                      .stops = std::move(options.stops)}),
      with_logprobs_(options.with_logprobs),
      score_end_(options.score_end),
      stop_ids_(request.stop_ids),
      prompt_tokens_(static_cast<int64_t>(request.prompt.size())),
      num_prompt_events_(request.score_prompt ? prompt_tokens_ - 1 : 0) {}

Generation::~Generation() {
  if (stream_ && !end_) stream_->cancel();
}

void Generation::pull() {
  if (end_) return;
  // Before the events: once it has ended, all of them are there.
  const auto end = stream_->finished();
  engine::TokenEvent event;
  while (!text_.stopped() && stream_->take(event)) take(event);
  if (!text_.stopped() && !end) return;
  if (text_.stopped()) stream_->cancel();
  text_.finish(pieces_);
  // Also the end of the text may hold a stop text, which no token completed.
  end_ = text_.stopped() ? engine::Finish::kStop : *end;
}

void Generation::take(const engine::TokenEvent& event) {
  const bool is_prompt = num_prompt_events_ > 0;
  const bool is_end = !is_prompt && std::find(stop_ids_.begin(), stop_ids_.end(),
                                              event.chosen.token) != stop_ids_.end();
  if (with_logprobs_ && (!is_end || score_end_)) {
    scored_.push_back(scored_token(model_->parts.tokenizer, event));
  }
  num_prompt_events_ -= is_prompt ? 1 : 0;
  if (is_prompt || is_end) return;
  ++num_tokens_;
  num_thinking_ += text_.is_thinking() ? 1 : 0;
  text_.push(event.chosen.token, pieces_);
}

api::FinishReason Generation::finish_reason() const {
  if (*end_ != engine::Finish::kStop) return api::FinishReason::kLength;
  return text_.num_calls() > 0 ? api::FinishReason::kToolCalls : api::FinishReason::kStop;
}

api::Usage Generation::usage() const {
  return {.prompt_tokens = prompt_tokens_,
          .completion_tokens = num_tokens_,
          .cached_tokens = stream_->cached_tokens(),
          .reasoning_tokens = num_thinking_};
}

std::string call_id(std::string_view response_id, int64_t choice, int call) {
  // The part of "chatcmpl-…" that is the response's own.
  const std::string_view own = response_id.substr(response_id.find_first_of("-_") + 1);
  return fmt::format("call_{}_{}_{}", own, choice, call);
}

AnswerFields fields_of(const std::vector<output::Piece>& pieces, std::string_view response_id,
                       int64_t choice) {
  AnswerFields fields;
  for (const output::Piece& piece : pieces) {
    switch (piece.field) {
      case output::Field::kReasoning:
        fields.reasoning += piece.text;
        break;
      case output::Field::kContent:
        fields.content += piece.text;
        break;
      case output::Field::kCallName:
        fields.calls.push_back({call_id(response_id, choice, piece.call), piece.text, ""});
        break;
      case output::Field::kCallArguments:
        fields.calls.back().arguments += piece.text;
        break;
    }
  }
  return fields;
}

std::vector<api::ToolCall> AnswerFields::tool_calls() const {
  std::vector<api::ToolCall> views;
  for (const Call& call : calls) views.push_back({call.id, call.name, call.arguments});
  return views;
}

}  // namespace hachi::server
