// Whether a model thinks, for how long, and whether its thoughts are shown, under the names of
// OpenAI, vLLM, llama.cpp, DashScope, DeepSeek and OpenRouter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "api/fields.h"
#include "api/messages.h"

namespace hachi::api {

inline constexpr int64_t kNoThinkingLimit = -1;

struct ReasoningFields {
  std::optional<bool> enable;  // not set: as the model's template has it
  // Tokens, 0 to 2^31 - 1, or kNoThinkingLimit; not set: as the server has it. Above 0 only where
  // `enable` is not false. It counts beside an effort, which is the rougher word for it.
  std::optional<int64_t> budget;
  std::string effort;   // none, minimal, low, medium, high, xhigh or max; empty: not given
  bool include = true;  // false: the thoughts are left out of the answer
};

// A request may say each of these under any of its names, and more than once if they agree:
//   enable   enable_thinking, the same of chat_template_kwargs, reasoning.enabled, thinking.type;
//            an effort of "none" is false
//   budget   thinking_token_budget, thinking_budget_tokens, reasoning_budget, thinking_budget, the
//            last also of chat_template_kwargs, reasoning.max_tokens, thinking.budget_tokens
//   effort   reasoning_effort, reasoning.effort
//   include  include_reasoning, the opposite of reasoning.exclude
// `prompt` is what read_template_fields gave; its enable_thinking becomes `enable`.
ReasoningFields read_reasoning(FieldReader& fields, TemplateFields& prompt);

}  // namespace hachi::api
