// Generation: one answer on its way: a request in the engine and the text that comes of it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/response_parts.h"
#include "engine/stream.h"
#include "output/answer_text.h"
#include "server/served_model.h"

namespace hachi::server {

// A token's own text beside its logprob: what api::TokenLogprob views.
struct ScoredToken {
  struct Top {
    std::string token;
    float logprob;
  };
  std::string token;
  float logprob = 0;
  bool has_logprob = true;
  std::vector<Top> top;
};

class Generation {
 public:
  struct TextOptions {
    output::AutomatonOptions automaton;
    bool skip_special = true;
    std::vector<std::string> stops;
    bool with_logprobs = false;
    // The token that ended it is scored too, as OpenAI's completions have it and its chats do not.
    bool score_end = false;
  };

  // Submits the request, to be answered under `constraint` if there is one. Fails as
  // Engine::submit.
  static Result<Generation> start(const std::shared_ptr<ServedModel>& model,
                                  const engine::Request& request,
                                  std::unique_ptr<engine::Constraint> constraint,
                                  TextOptions options);
  Generation(Generation&&) noexcept = default;
  Generation& operator=(Generation&&) noexcept = default;
  // Nobody reads it any more: the engine stops.
  ~Generation();

  const std::shared_ptr<engine::Stream>& stream() const { return stream_; }

  // Takes what has come since the last time. What it settled is added to pieces() and scored().
  void pull();
  std::vector<output::Piece>& pieces() { return pieces_; }
  // With with_logprobs; those of a prompt that is scored come first.
  std::vector<ScoredToken>& scored() { return scored_; }

  bool is_done() const { return end_.has_value(); }
  // Once done. A request that the server ended for its deadline ends as one of full length.
  api::FinishReason finish_reason() const;
  // The thinking was closed before the model closed it.
  bool is_thinking_truncated() const { return text_.is_budget_spent(); }
  engine::Finish finish() const { return *end_; }
  // The stop text that ended it; empty: none did.
  std::string_view stop_text() const { return text_.stop_text(); }
  // What was taken so far.
  api::Usage usage() const;

 private:
  Generation(std::shared_ptr<ServedModel> model, std::shared_ptr<engine::Stream> stream,
             const engine::Request& request, TextOptions options);

  void take(const engine::TokenEvent& event);

  std::shared_ptr<ServedModel> model_;
  std::shared_ptr<engine::Stream> stream_;
  output::AnswerText text_;
  bool with_logprobs_;
  bool score_end_;
  std::vector<output::Piece> pieces_;
  std::vector<ScoredToken> scored_;
  std::vector<int32_t> stop_ids_;
  int64_t prompt_tokens_;
  int64_t num_prompt_events_;  // still to come: the prompt's tokens, scored
  int64_t num_tokens_ = 0;
  int64_t num_thinking_ = 0;
  std::optional<engine::Finish> end_;
};

// The pieces of an answer put together.
struct AnswerFields {
  struct Call {
    std::string id, name, arguments;
  };
  std::string reasoning, content;
  std::vector<Call> calls;

  // Views of the calls.
  std::vector<api::ToolCall> tool_calls() const;
};
// `choice` is its place among the answers of the response.
AnswerFields fields_of(const std::vector<output::Piece>& pieces, std::string_view response_id,
                       int64_t choice = 0);

// The id of a call, unlike those of all other responses.
std::string call_id(std::string_view response_id, int64_t choice, int call);

// The bytes of a token's text; of a special token, which adds none, its name.
std::string token_text(const tokenizer::Tokenizer& tokenizer, int32_t token);

// `event` with the texts of its tokens.
ScoredToken scored_token(const tokenizer::Tokenizer& tokenizer, const engine::TokenEvent& event);

}  // namespace hachi::server
