#include "cli/conversation.h"

#include "core/files.h"

namespace hachi::cli {
namespace {

constexpr uint64_t kMaxTemplateBytes = 1 << 20;

}  // namespace

Result<Conversation> Conversation::open(const LoadedModel& loaded,
                                        const std::string& template_path) {
  std::string source;
  if (!template_path.empty()) {
    TRY(source, read_file(template_path, kMaxTemplateBytes));
  }
  TRY(chat::Prompter prompter, chat::Prompter::open(*loaded.checkpoint, loaded.tokenizer, source));
  return Conversation(loaded, std::move(prompter));
}

Result<chat::Prompter::TokenPrompt> Conversation::prompt() const {
  chat::RenderInput input;
  if (!system_.empty()) input.messages.push_back({{"role", "system"}, {"content", system_}});
  for (const boost::json::value& message : messages_) input.messages.push_back(message);
  input.enable_thinking = enable_thinking;
  return prompter_.prompt(loaded_->tokenizer, std::move(input));
}

void Conversation::set_system(std::string_view text) { system_ = text; }

void Conversation::add_user(std::string_view text) {
  messages_.push_back({{"role", "user"}, {"content", text}});
}

void Conversation::add_assistant(std::string_view thinking, std::string_view text) {
  boost::json::object message = {{"role", "assistant"}, {"content", text}};
  if (!thinking.empty()) message["reasoning_content"] = thinking;
  messages_.push_back(std::move(message));
}

std::optional<std::string> Conversation::take_back(std::string_view role) {
  if (messages_.empty()) return std::nullopt;
  const boost::json::object& last = messages_.back().get_object();
  if (last.at("role").get_string() != role) return std::nullopt;
  std::string content(last.at("content").get_string());
  messages_.pop_back();
  return content;
}

boost::json::object Conversation::to_json() const {
  return {{"system", system_}, {"messages", messages_}};
}

Result<void> Conversation::from_json(const boost::json::object& json) {
  const auto wrong = [](std::string_view what) {
    return fail(Code::kCorrupt, "not a saved conversation: {}", what);
  };
  const boost::json::value* system = json.if_contains("system");
  const boost::json::value* messages = json.if_contains("messages");
  if (messages == nullptr || !messages->is_array())
    return wrong("the list \"messages\" is missing");
  if (system != nullptr && !system->is_string()) return wrong("\"system\" is not a string");
  for (const boost::json::value& message : messages->get_array()) {
    if (!message.is_object()) return wrong("a message is not an object");
    for (const std::string_view key : {"role", "content"}) {
      const boost::json::value* field = message.get_object().if_contains(key);
      if (field == nullptr || !field->is_string()) {
        return wrong(fmt::format("a message has no string \"{}\"", key));
      }
    }
  }
  system_ = system == nullptr ? "" : std::string(system->get_string());
  messages_ = messages->get_array();
  return {};
}

}  // namespace hachi::cli
