// answer: one turn of a model: prompt tokens in, pieces of thinking, answer and calls out as they
// come.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "agent/agent.h"
#include "cli/loaded_model.h"
#include "cli/sampling_options.h"
#include "core/result.h"
#include "engine/generate.h"
#include "output/answer_form.h"
#include "output/fields.h"

namespace hachi::cli {

struct AnswerRequest {
  std::vector<tokenizer::TokenId> prompt;
  std::string prompt_text;  // the text of `prompt`, which may have begun the thinking
  SamplingOptions sampling;
  const output::AnswerForm* form = nullptr;  // never null when it is answered
  bool skip_special = true;                  // special tokens have no text
  agent::CallContext context;                // when it is over, so is the answer
};

struct Answer {
  std::string thinking;
  std::string text;
  std::vector<agent::ToolCall> calls;  // without ids
  bool is_broken_off = false;          // the answer ended within its last call
  bool reasoning_truncated = false;    // the budget for thinking was spent
  int64_t reasoning_tokens = 0;
  std::vector<tokenizer::TokenId> ids;
  engine::GenerateStats stats;
  uint64_t seed = 0;
};

using OnPiece = std::function<void(const output::Piece& piece)>;

// Ctrl-C ends the answer, not the program: the stats say kCancelled.
Result<Answer> answer(const LoadedModel& loaded, engine::Session& session,
                      const AnswerRequest& request, bool quiet, const OnPiece& on_piece);

// "stop", "length" or "cancelled".
std::string_view finish_name(engine::Finish finish);

// "39 tokens read (0 kept) in 0.12 s, 25 written at 81.2 tokens/s".
std::string stats_text(const engine::GenerateStats& stats);

// {"name", "arguments"}: the arguments as JSON, or as text where they are none.
boost::json::object call_to_json(const agent::ToolCall& call);

}  // namespace hachi::cli
