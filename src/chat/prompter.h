// Prompter: what a model needs to be talked to: conversations in, the tokens of prompts out.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "chat/chat_template.h"
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
  // The prompt that `input` makes; its bos_token and eos_token are filled in. What users said is
  // never read as special tokens. Fails if the template refuses the messages. Any thread.
  Result<TokenPrompt> prompt(const tokenizer::Tokenizer& tokenizer, RenderInput input) const;

  // The same, but the answer goes on where the content of the last message ends: what the template
  // writes after it is cut off. Fails if the template does not write that content as it is.
  Result<TokenPrompt> continue_last(const tokenizer::Tokenizer& tokenizer, RenderInput input) const;

 private:
  Prompter(ChatTemplate chat_template, std::string bos, std::string eos)
      : template_(std::move(chat_template)),
        bos_token_(std::move(bos)),
        eos_token_(std::move(eos)) {}

  Result<Prompt> render(RenderInput input) const;

  ChatTemplate template_;
  std::string bos_token_, eos_token_;
};

}  // namespace hachi::chat
