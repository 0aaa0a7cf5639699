#include "cli/conversation.h"

#include <algorithm>

#include "core/files.h"

namespace hachi::cli {
namespace {

std::string_view role_of(const boost::json::value& message) {
  return message.at("role").get_string();
}

// Null if it has none.
const boost::json::array* calls_of(const boost::json::object& message) {
  const boost::json::value* calls = message.if_contains("tool_calls");
  return calls ? calls->if_array() : nullptr;
}

bool is_string(const boost::json::value& value, std::string_view key) {
  const boost::json::object* object = value.if_object();
  const boost::json::value* field = object ? object->if_contains(key) : nullptr;
  return field != nullptr && field->is_string();
}

bool has_whole_calls(const boost::json::object& message) {
  const boost::json::array* calls = calls_of(message);
  if (calls == nullptr) return !message.contains("tool_calls");
  return std::all_of(calls->begin(), calls->end(), [](const boost::json::value& call) {
    const boost::json::object* fields = call.if_object();
    const boost::json::value* function = fields ? fields->if_contains("function") : nullptr;
    return is_string(call, "id") && function != nullptr && is_string(*function, "name") &&
           is_string(*function, "arguments");
  });
}

}  // namespace

Result<Conversation> Conversation::open(const LoadedModel& loaded,
                                        const std::string& template_path) {
  std::string source;
  if (!template_path.empty()) {
    TRY(source, read_file(template_path, chat::kMaxTemplateBytes));
  }
  TRY(chat::Prompter prompter, chat::Prompter::open(*loaded.checkpoint, loaded.tokenizer, source));
  return Conversation(loaded, std::move(prompter));
}

Result<chat::Prompter::TokenPrompt> Conversation::prompt() const {
  chat::RenderInput input;
  if (!system_.empty()) input.messages.push_back({{"role", "system"}, {"content", system_}});
  for (const boost::json::value& message : messages_) input.messages.push_back(message);
  input.tools = tools;
  input.enable_thinking = enable_thinking;
  input.system_in_user = system_in_user;
  return prompter_.prompt(loaded_->tokenizer, std::move(input));
}

void Conversation::set_system(std::string_view text) { system_ = text; }

void Conversation::add_user(std::string_view text) {
  messages_.push_back({{"role", "user"}, {"content", text}});
}

void Conversation::add_assistant(std::string_view thinking, std::string_view text,
                                 const std::vector<agent::ToolCall>& calls) {
  boost::json::object message = {{"role", "assistant"}, {"content", text}};
  if (!thinking.empty()) message["reasoning_content"] = thinking;
  boost::json::array written;
  for (const agent::ToolCall& call : calls) {
    // Unique in the conversation: the message's place and the call's.
    const std::string id = fmt::format("call_{}_{}", messages_.size(), written.size());
    written.push_back({{"id", id},
                       {"type", "function"},
                       {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  if (!written.empty()) message["tool_calls"] = std::move(written);
  messages_.push_back(std::move(message));
}

bool Conversation::take_back(std::string_view role) {
  if (messages_.empty() || role_of(messages_.back()) != role) return false;
  messages_.pop_back();
  return true;
}

std::optional<agent::ToolCall> Conversation::open_call() const {
  size_t at = messages_.size();
  while (at > 0 && role_of(messages_[at - 1]) == "tool") --at;
  const boost::json::array* calls = at == 0 ? nullptr : calls_of(messages_[at - 1].get_object());
  const size_t num_results = messages_.size() - at;
  if (calls == nullptr || calls->size() <= num_results) return std::nullopt;
  const boost::json::value& call = (*calls)[num_results];
  const boost::json::value& function = call.at("function");
  return agent::ToolCall{std::string(call.at("id").get_string()),
                         std::string(function.at("name").get_string()),
                         std::string(function.at("arguments").get_string())};
}

void Conversation::add_result(std::string_view text) {
  messages_.push_back({{"role", "tool"}, {"tool_call_id", open_call()->id}, {"content", text}});
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
      if (!is_string(message, key)) {
        return wrong(fmt::format("a message has no string \"{}\"", key));
      }
    }
    if (!has_whole_calls(message.get_object())) {
      return wrong("a call has no string \"id\", or no name and arguments that are strings");
    }
  }
  system_ = system == nullptr ? "" : std::string(system->get_string());
  messages_ = messages->get_array();
  return {};
}

}  // namespace hachi::cli
