// LocalModel: the model of an agent that runs in this process, on one session: each step keeps what
// the cache shares with the one before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/agent.h"
#include "cli/answer.h"
#include "cli/conversation.h"
#include "cli/form_options.h"
#include "cli/loaded_model.h"
#include "core/result.h"

namespace hachi::cli {

inline constexpr std::string_view kAnyTool = "any";

struct LocalModelOptions {
  SamplingOptions sampling;     // of each answer; max_tokens too
  FormOptions form;             // without tools
  output::FormRequest request;  // what `form` asks of answers that are no calls
  // The answers at the beginning that have to be one call each: of the tool with this name, or of
  // kAnyTool.
  std::vector<std::string> first_calls;
  // The answer that has to be the last: where answers have a format, this one is held to it and
  // cannot be a call.
  size_t max_steps = 0;
  bool quiet = false;
};

class LocalModel : public agent::Model {
 public:
  // The model, the session and the prompter outlive it. `tools` are all that the model will have;
  // the arguments of its calls are held to their schemas, but for schemas that cannot be enforced.
  static Result<LocalModel> create(const LoadedModel& loaded, engine::Session& session,
                                   const chat::Prompter& prompter, const boost::json::array& tools,
                                   const LocalModelOptions& options, OnPiece on_piece);

  // A cancelled answer has Finish::kLength and what came until then.
  Result<agent::AssistantTurn> answer(const boost::json::array& messages,
                                      const boost::json::array& tools,
                                      const agent::CallContext& context) override;

  // Tokens of all prompts that the cache held already.
  int64_t cached_tokens() const { return cached_tokens_; }

 private:
  LocalModel(const LoadedModel& loaded, engine::Session& session, const chat::Prompter& prompter,
             LocalModelOptions options, OnPiece on_piece, std::vector<output::AnswerForm> first,
             output::AnswerForm free, output::AnswerForm last);
  const output::AnswerForm& form_of(size_t step) const;

  const LoadedModel& loaded_;
  engine::Session& session_;
  const chat::Prompter& prompter_;
  LocalModelOptions options_;
  OnPiece on_piece_;
  std::vector<output::AnswerForm> first_;  // of the first answers, in which it has to call
  output::AnswerForm free_;                // the model decides whether it calls
  output::AnswerForm last_;                // without calls, if it has a format
  size_t num_answers_ = 0;
  int64_t cached_tokens_ = 0;
};

}  // namespace hachi::cli
