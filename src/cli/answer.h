// answer: one turn of a model: prompt tokens in, pieces of thinking and answer out as they come.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/families.h"
#include "cli/loaded_model.h"
#include "cli/sampling_options.h"
#include "core/result.h"
#include "engine/generate.h"

namespace hachi::cli {

struct AnswerRequest {
  std::vector<tokenizer::TokenId> prompt;
  SamplingOptions sampling;
  std::string prompt_text;     // the text of `prompt`, which may have begun the thinking
  bool split_thinking = true;  // false: all is answer, marks and all (--raw)
};

struct Answer {
  std::string thinking;
  std::string text;
  std::vector<tokenizer::TokenId> ids;
  engine::GenerateStats stats;
  uint64_t seed = 0;
};

using OnPiece = std::function<void(bool thinking, std::string_view text)>;

// Ctrl-C ends the answer, not the program: the stats say kCancelled.
Result<Answer> answer(const LoadedModel& loaded, engine::Session& session,
                      const AnswerRequest& request, bool quiet, const OnPiece& on_piece);

// "stop", "length" or "cancelled".
std::string_view finish_name(engine::Finish finish);

// "39 tokens read (0 kept) in 0.12 s, 25 written at 81.2 tokens/s".
std::string stats_text(const engine::GenerateStats& stats);

}  // namespace hachi::cli
