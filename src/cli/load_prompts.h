// What `hachi bench serve` asks: prompts of a file, or made of words.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hachi::cli {

// Words that are one token each, with the space before them, in the vocabularies of Llama 2 and 3,
// Mistral, Phi-3, Qwen3 and SmolLM2: so many words, so many tokens.
using LoadWords = std::array<std::string_view, 512>;
const LoadWords& load_words();

struct LoadPrompt {
  std::string text;      // of a prompt, or of the one message of a user
  std::string messages;  // JSON, in the place of the text; for chats only
};

struct SyntheticPrompts {
  int64_t tokens = 128;
  int64_t spread = 0;         // the prompts have tokens - spread to tokens + spread
  int64_t shared_prefix = 0;  // the first tokens, the same in all prompts
  uint64_t seed = 0;
};

// Prompt number i, the same each time it is asked for.
class PromptSource {
 public:
  // After the shared prefix no two prompts share a beginning: the first word after it differs from
  // those of the 511 prompts before, and among 2^18 the first two words do. Fails if the shortest
  // prompt has no word of its own.
  static Result<PromptSource> synthetic(const SyntheticPrompts& options);

  // One prompt a line; or, if the first line begins with "{", one JSON object a line with "prompt"
  // or "messages". Blank lines are read over. After the last prompt comes the first again.
  static Result<PromptSource> from_file(const std::string& file);

  LoadPrompt prompt(int64_t index) const;

  // Prompts that differ; 0 for synthetic ones, which do not run out.
  int64_t size() const { return static_cast<int64_t>(prompts_.size()); }

 private:
  SyntheticPrompts options_;
  std::string prefix_;
  std::vector<LoadPrompt> prompts_;
};

// "512", or "512+-64" (or with the sign ±): tokens and spread.
Result<void> parse_prompt_tokens(std::string_view text, SyntheticPrompts& options);

}  // namespace hachi::cli
