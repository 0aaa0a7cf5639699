#include "api/reasoning.h"

#include <utility>

namespace hachi::api {
namespace {

constexpr Range<int64_t> kBudgetRange = {kNoThinkingLimit, kMaxInt32};

void contradict(std::string_view one, const std::string& other, FirstError& error) {
  if (error) return;
  error = invalid_field(other, "{} and {} contradict each other: give one of them", other, one);
}

// One thing that a request may say under several names.
template <class T>
struct Said {
  std::optional<T> value;
  std::string path;  // of the name that said it first

  void take(std::optional<T> other, const FieldReader& fields, std::string_view name,
            FirstError& error) {
    if (!other) return;
    if (!value) {
      value = std::move(other);
      path = fields.path_of(name);
    } else if (*value != *other) {
      contradict(path, fields.path_of(name), error);
    }
  }
};

class ReasoningReader {
 public:
  explicit ReasoningReader(FieldReader& fields) : fields_(fields) {}

  ReasoningFields read(const TemplateFields& prompt) {
    read_template_variables(prompt);
    take_flag(fields_, "enable_thinking");
    for (const std::string_view name : {"thinking_token_budget", "thinking_budget_tokens",
                                        "reasoning_budget", "thinking_budget"}) {
      take_budget(fields_, name);
    }
    take_effort(fields_, "reasoning_effort");
    include_.take(fields_.boolean("include_reasoning"), fields_, "include_reasoning",
                  fields_.error());
    read_reasoning_object();
    read_thinking_object();
    if (enable_.value == false && budget_.value.value_or(0) > 0) {
      contradict(enable_.path, budget_.path, fields_.error());
    }
    return {enable_.value, budget_.value, effort_.value.value_or(""),
            include_.value.value_or(true)};
  }

 private:
  void take_flag(FieldReader& fields, std::string_view name) {
    enable_.take(fields.boolean(name), fields, name, fields.error());
  }

  void take_budget(FieldReader& fields, std::string_view name) {
    budget_.take(fields.integer(name, kBudgetRange), fields, name, fields.error());
  }

  void take_effort(FieldReader& fields, std::string_view name) {
    const auto effort =
        fields.word(name, {"none", "minimal", "low", "medium", "high", "xhigh", "max"});
    if (!effort) return;
    effort_.take(std::string(*effort), fields, name, fields.error());
    if (*effort == "none") enable_.take(false, fields, name, fields.error());
  }

  // The budget stays a variable too, because some templates write it into the prompt.
  void read_template_variables(const TemplateFields& prompt) {
    const json::object* variables = fields_.object("chat_template_kwargs");
    if (!variables) return;
    FieldReader reader(*variables, fields_.path_of("chat_template_kwargs"), fields_.error());
    enable_.take(prompt.enable_thinking, reader, "enable_thinking", fields_.error());
    take_budget(reader, "thinking_budget");
  }

  // OpenRouter's, and that of the Responses API. The thoughts themselves are given, and no summary
  // of them.
  void read_reasoning_object() {
    const json::object* reasoning = fields_.object("reasoning");
    if (!reasoning) return;
    FieldReader reader(*reasoning, fields_.path_of("reasoning"), fields_.error());
    take_effort(reader, "effort");
    take_budget(reader, "max_tokens");
    take_flag(reader, "enabled");
    if (const auto exclude = reader.boolean("exclude")) {
      include_.take(!*exclude, reader, "exclude", fields_.error());
    }
    (void)reader.word("summary", {"auto", "concise", "detailed"});
    (void)reader.word("generate_summary", {"auto", "concise", "detailed"});
    (void)reader.word("context", {"auto"});
    (void)reader.word("mode", {"standard"});
    reader.finish();
  }

  // DeepSeek's, with Anthropic's budget.
  void read_thinking_object() {
    const json::object* thinking = fields_.object("thinking");
    if (!thinking) return;
    FieldReader reader(*thinking, fields_.path_of("thinking"), fields_.error());
    reader.require("type");
    const auto type = reader.word("type", {"enabled", "disabled", "adaptive", "auto"});
    if (type == "enabled") enable_.take(true, reader, "type", fields_.error());
    if (type == "disabled") enable_.take(false, reader, "type", fields_.error());
    take_budget(reader, "budget_tokens");
    reader.finish();
  }

  FieldReader& fields_;
  Said<bool> enable_;
  Said<int64_t> budget_;
  Said<std::string> effort_;
  Said<bool> include_;
};

}  // namespace

ReasoningFields read_reasoning(FieldReader& fields, TemplateFields& prompt) {
  ReasoningFields out = ReasoningReader(fields).read(prompt);
  prompt.enable_thinking = out.enable;
  return out;
}

}  // namespace hachi::api
