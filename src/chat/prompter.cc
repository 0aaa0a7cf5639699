#include "chat/prompter.h"

#include <optional>

#include <fmt/format.h>

#include "chat/families.h"
#include "chat/tool_prompt.h"

namespace hachi::chat {
namespace {

// The text of a special token that templates may name, from tokenizer_config.json (a string or an
// object with a "content") or from the vocabulary.
std::string special_token(const formats::Checkpoint& checkpoint,
                          const tokenizer::Tokenizer& tokenizer, const std::string& key,
                          std::optional<tokenizer::TokenId> id) {
  const formats::Metadata& config = checkpoint.tokenizer_config();
  for (const std::string& name : {key, key + ".content"}) {
    const auto value = config.string(name);
    if (value && *value) return std::string(**value);
  }
  return id ? std::string(tokenizer.token(*id)) : std::string();
}

Prompter::TokenPrompt encode(const tokenizer::Tokenizer& tokenizer, Prompt prompt) {
  auto tokens = tokenizer.encode(prompt.text, {.plain = prompt.untrusted});
  return {std::move(tokens), std::move(prompt.text)};
}

boost::json::string* text_of(boost::json::value& message, std::string_view role) {
  boost::json::object* fields = message.if_object();
  const boost::json::value* named = fields ? fields->if_contains("role") : nullptr;
  if (named == nullptr || !named->is_string() || named->get_string() != role) return nullptr;
  boost::json::value* content = fields->if_contains("content");
  return content ? content->if_string() : nullptr;
}

void move_system_into_user(boost::json::array& messages) {
  if (messages.empty()) return;
  const boost::json::string* system = text_of(messages.front(), "system");
  if (system == nullptr) return;
  boost::json::string* user = messages.size() > 1 ? text_of(messages[1], "user") : nullptr;
  if (user == nullptr) {
    messages.front().get_object()["role"] = "user";
    return;
  }
  *user = fmt::format("{}\n\n{}", std::string_view(*system), std::string_view(*user));
  messages.erase(messages.begin());
}

}  // namespace

Result<Prompter> Prompter::open(const formats::Checkpoint& checkpoint,
                                const tokenizer::Tokenizer& tokenizer, const std::string& source) {
  std::string text = source;
  if (text.empty()) {
    TRY(text, template_source(checkpoint.chat_template().value_or(""),
                              tokenizer.id("<|im_start|>").has_value()));
  }
  TRY(ChatTemplate chat_template, ChatTemplate::parse(text));
  return Prompter(std::move(chat_template), text,
                  special_token(checkpoint, tokenizer, "bos_token", tokenizer.bos()),
                  special_token(checkpoint, tokenizer, "eos_token", tokenizer.eos()));
}

Prompter::Prompter(ChatTemplate chat_template, std::string_view source, std::string bos,
                   std::string eos)
    : template_(std::move(chat_template)),
      tool_format_(probe_tool_format(template_, source)),
      thinks_(source.find(kThinkEnd) != std::string_view::npos),
      has_thinking_switch_(source.find("enable_thinking") != std::string_view::npos),
      bos_token_(std::move(bos)),
      eos_token_(std::move(eos)) {}

Result<Prompt> Prompter::render(RenderInput input) const {
  input.bos_token = bos_token_;
  input.eos_token = eos_token_;
  if (input.system_in_user || !tool_format_.takes_system) move_system_into_user(input.messages);
  fit_tools(tool_format_, input);
  TRY(Prompt prompt, template_.render(input));
  const bool is_off = input.add_generation_prompt && !input.enable_thinking.value_or(true);
  if (is_off && thinks_ && !has_thinking_switch_) prompt.text += no_thinking_after(prompt.text);
  return prompt;
}

Result<Prompter::TokenPrompt> Prompter::prompt(const tokenizer::Tokenizer& tokenizer,
                                               RenderInput input) const {
  TRY(Prompt prompt, render(std::move(input)));
  return encode(tokenizer, std::move(prompt));
}

Result<Prompter::TokenPrompt> Prompter::continue_last(const tokenizer::Tokenizer& tokenizer,
                                                      RenderInput input) const {
  std::string last;
  if (!input.messages.empty() && input.messages.back().is_object()) {
    const auto* content = input.messages.back().get_object().if_contains("content");
    if (content != nullptr && content->is_string()) last = std::string(content->get_string());
  }
  input.add_generation_prompt = false;
  TRY(Prompt prompt, render(std::move(input)));
  const size_t at = last.empty() ? std::string::npos : prompt.text.rfind(last);
  if (at == std::string::npos) {
    return fail(Code::kInvalidArgument,
                "the last message cannot be continued: the model's chat template does not write "
                "its content as it is");
  }
  prompt.text.resize(at + last.size());
  std::erase_if(prompt.untrusted,
                [&](const TextRange& range) { return range.begin >= prompt.text.size(); });
  for (TextRange& range : prompt.untrusted) range.end = std::min(range.end, prompt.text.size());
  return encode(tokenizer, std::move(prompt));
}

}  // namespace hachi::chat
