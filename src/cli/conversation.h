// Conversation: the messages so far, as JSON in OpenAI's form, and the prompt they make under a
// model's chat template.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>

#include "agent/agent.h"
#include "chat/prompter.h"
#include "cli/loaded_model.h"
#include "core/result.h"

namespace hachi::cli {

class Conversation {
 public:
  // Of the model's own template, or of the file `template_path` if that is not empty.
  static Result<Conversation> open(const LoadedModel& loaded, const std::string& template_path);

  // What users said is never read as special tokens. Fails if the template refuses the messages.
  Result<chat::Prompter::TokenPrompt> prompt() const;

  void set_system(std::string_view text);  // empty: none
  const std::string& system() const { return system_; }
  void add_user(std::string_view text);
  void add_assistant(std::string_view thinking, std::string_view text,
                     const std::vector<agent::ToolCall>& calls);
  // Takes back the last message if it is of `role`; whether it was.
  bool take_back(std::string_view role);

  // The first call of the last answer that has no result yet; its id is the conversation's.
  std::optional<agent::ToolCall> open_call() const;
  // The result of open_call(), which is there.
  void add_result(std::string_view text);

  void clear() { messages_.clear(); }
  bool empty() const { return messages_.empty(); }

  // As saved to a file: {"system": …, "messages": […]}.
  boost::json::object to_json() const;
  Result<void> from_json(const boost::json::object& json);

  const chat::Prompter& prompter() const { return prompter_; }

  boost::json::array tools;             // that the model is told of, in OpenAI's form
  std::optional<bool> enable_thinking;  // for templates that ask; nothing: the template's default
  bool system_in_user = false;

 private:
  Conversation(const LoadedModel& loaded, chat::Prompter prompter)
      : loaded_(&loaded), prompter_(std::move(prompter)) {}

  const LoadedModel* loaded_;
  chat::Prompter prompter_;
  std::string system_;
  boost::json::array messages_;  // without the system message
};

}  // namespace hachi::cli
