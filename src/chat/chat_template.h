// The chat template that comes with a model: conversations in, prompts out. Templates are programs
// in the Jinja language and as little trusted as any other file: they see nothing but their input
// and run within the limits of jinja/budget.h.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "core/result.h"
#include "core/text_range.h"

namespace hachi::chat {

namespace jinja {
struct Template;
}

inline constexpr uint64_t kMaxTemplateBytes = 1 << 20;  // of a file with one

struct RenderInput {
  // Objects with at least "role", one of kRoles; what else they hold is up to the template.
  boost::json::array messages;
  boost::json::array tools;
  bool add_generation_prompt = true;
  std::optional<bool> enable_thinking;  // the template does not see it unless it is set
  bool system_in_user = false;          // as Prompter::prompt says; nothing to a ChatTemplate
  std::string bos_token;
  std::string eos_token;
  boost::json::object extra;   // further variables of the template
  std::optional<std::tm> now;  // for strftime_now; the clock's local time if not set
};

inline constexpr std::string_view kRoles[] = {"system", "developer", "user",   "assistant",
                                              "tool",   "function",  "ipython"};

struct Prompt {
  std::string text;
  // The bytes of `text` that came from strings of messages, tools or extra, sorted and apart. No
  // special token may be recognised in them. Roles are checked instead and not among them.
  std::vector<TextRange> untrusted;
};

class ChatTemplate {
 public:
  // Fails with the line of what is wrong or not supported.
  static Result<ChatTemplate> parse(std::string_view source);

  // Fails with the template's own message where it refuses the conversation. May be called from
  // several threads at once.
  Result<Prompt> render(const RenderInput& input) const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::Template> program)
      : program_(std::move(program)) {}

  std::shared_ptr<const jinja::Template> program_;
};

}  // namespace hachi::chat
