// Prompter: what a model needs to be talked to: conversations in, the tokens of prompts out.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "chat/chat_template.h"
#include "chat/tool_format.h"
#include "core/result.h"
#include "formats/checkpoint.h"
#include "tokenizer/tokenizer.h"

namespace hachi::chat {

class Prompter {
 public:
  // With the template `source`, or if that is empty the model's own.
  static Result<Prompter> open(const formats::Checkpoint& checkpoint,
                               const tokenizer::Tokenizer& tokenizer,
                               const std::string& source = "");

  struct TokenPrompt {
    std::vector<tokenizer::TokenId> tokens;
    std::string text;
  };
  // The prompt that `input` makes; its bos_token and eos_token are filled in. Tools, calls and
  // results that the template would leave out are told in words (tool_prompt.h); where it has no
  // switch for thinking, enable_thinking = false ends the prompt with an empty block of thoughts.
  // With system_in_user, or where the template would leave it out, the system message becomes the
  // first paragraph of the first user message.
  // What users said is never read as special tokens. Fails if the template refuses the messages.
  // Any thread.
  Result<TokenPrompt> prompt(const tokenizer::Tokenizer& tokenizer, RenderInput input) const;

  // The same, but the answer goes on where the content of the last message ends: what the template
  // writes after it is cut off. Fails if the template does not write that content as it is.
  Result<TokenPrompt> continue_last(const tokenizer::Tokenizer& tokenizer, RenderInput input) const;

  const ToolFormat& tool_format() const { return tool_format_; }
  // The model thinks before it answers, as far as its template tells.
  bool thinks() const { return thinks_; }

 private:
  Prompter(ChatTemplate chat_template, std::string_view source, std::string bos, std::string eos);

  Result<Prompt> render(RenderInput input) const;

  ChatTemplate template_;
  ToolFormat tool_format_;
  bool thinks_;
  bool has_thinking_switch_;
  std::string bos_token_, eos_token_;
};

}  // namespace hachi::chat
