#include "chat/tool_format.h"

#include <array>

#include <boost/json.hpp>

namespace hachi::chat {
namespace {

constexpr std::string_view kAnyObject = R"({"type":"object"})";

constexpr std::array<std::string_view, 1> kHermesMarks = {"<tool_call>"};
constexpr std::array<std::string_view, 2> kDeepSeekMarks = {"<｜tool▁calls▁begin｜>",
                                                            "<｜tool▁call▁begin｜>"};
constexpr std::array<std::string_view, 2> kAllHermesMarks = {"<tool_call>", "</tool_call>"};
constexpr std::array<std::string_view, 5> kAllDeepSeekMarks = {
    "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
    "<｜tool▁calls▁end｜>"};
constexpr std::array<std::string_view, 1> kLlamaMarks = {"<|python_tag|>"};
constexpr std::array<std::string_view, 1> kMistralMarks = {"[TOOL_CALLS]"};

struct Function {
  std::string name;
  std::string schema;
  bool strict;
};

Result<Function> function_of(const boost::json::value& tool, size_t index) {
  const boost::json::object* outer = tool.if_object();
  const boost::json::value* inner = outer == nullptr ? nullptr : outer->if_contains("function");
  const boost::json::object* function = inner == nullptr ? outer : inner->if_object();
  const boost::json::value* name = function == nullptr ? nullptr : function->if_contains("name");
  if (name == nullptr || !name->is_string() || name->get_string().empty()) {
    return fail(Code::kInvalidArgument, "tools[{}] has no function with a name", index);
  }
  const boost::json::value* parameters = function->if_contains("parameters");
  const boost::json::value* strict = function->if_contains("strict");
  return Function{std::string(name->get_string()),
                  parameters != nullptr && parameters->is_object()
                      ? boost::json::serialize(*parameters)
                      : std::string(kAnyObject),
                  strict != nullptr && strict->is_bool() && strict->get_bool()};
}

}  // namespace

ToolStyle tool_style(std::string_view template_source) {
  const auto has = [&](std::string_view text) {
    return template_source.find(text) != std::string_view::npos;
  };
  if (has("<｜tool▁call")) return ToolStyle::kDeepSeek;
  if (has("<tool_call>")) return ToolStyle::kHermes;
  if (has("[TOOL_CALLS]")) return ToolStyle::kMistral;
  if (has("<|python_tag|>") || has("ipython")) return ToolStyle::kLlama;
  return ToolStyle::kHermes;
}

std::span<const std::string_view> call_marks(ToolStyle style) {
  switch (style) {
    case ToolStyle::kHermes:
      return kHermesMarks;
    case ToolStyle::kDeepSeek:
      return kDeepSeekMarks;
    case ToolStyle::kLlama:
      return kLlamaMarks;
    case ToolStyle::kMistral:
      return kMistralMarks;
  }
  return {};
}

std::span<const std::string_view> all_marks(ToolStyle style) {
  switch (style) {
    case ToolStyle::kHermes:
      return kAllHermesMarks;
    case ToolStyle::kDeepSeek:
      return kAllDeepSeekMarks;
    default:
      return call_marks(style);
  }
}

CallTexts call_texts(ToolStyle style) {
  switch (style) {
    case ToolStyle::kHermes:
      return {.open = "",
              .begin = "<tool_call>\n{\"name\": \"",
              .middle = "\", \"arguments\": ",
              .end = "}\n</tool_call>",
              .between = "\n",
              .close = "",
              .trigger = kHermesMarks[0],
              .max_calls = kMaxCalls};
    case ToolStyle::kDeepSeek:
      return {.open = kDeepSeekMarks[0],
              .begin = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
              .middle = "\n```json\n",
              .end = "\n```<｜tool▁call▁end｜>",
              .between = "\n",
              .close = "<｜tool▁calls▁end｜>",
              .trigger = kDeepSeekMarks[0],
              .max_calls = kMaxCalls};
    case ToolStyle::kLlama:
      return {.open = "",
              .begin = "{\"name\": \"",
              .middle = "\", \"parameters\": ",
              .end = "}",
              .between = "; ",
              .close = "",
              .trigger = "{\"name\":",
              .max_calls = 1};
    case ToolStyle::kMistral:
      return {.open = "[TOOL_CALLS] [",
              .begin = "{\"name\": \"",
              .middle = "\", \"arguments\": ",
              .end = "}",
              .between = ", ",
              .close = "]",
              .trigger = kMistralMarks[0],
              .max_calls = kMaxCalls};
  }
  return {};
}

Result<CallGrammar> call_grammar(ToolStyle style, const boost::json::array& tools,
                                 ToolChoice choice, std::string_view name, bool parallel) {
  const CallTexts texts = call_texts(style);
  const bool is_auto = choice == ToolChoice::kAuto;
  CallGrammar grammar;
  for (size_t i = 0; i < tools.size(); ++i) {
    TRY(Function function, function_of(tools[i], i));
    if (!name.empty() && function.name != name) continue;
    const bool holds = function.strict || !is_auto;
    grammar.calls.push_back({function.name + std::string(texts.middle),
                             holds ? std::move(function.schema) : std::string(kAnyObject),
                             std::string(texts.end)});
  }
  if (grammar.calls.empty()) {
    return fail(Code::kInvalidArgument, "tool_choice asks for {}, and the tools have none",
                name.empty() ? "a call" : fmt::format("the function \"{}\"", name));
  }
  grammar.opening = std::string(texts.open) + std::string(texts.begin);
  if (is_auto) {
    grammar.trigger = texts.trigger;
    grammar.opening.erase(0, texts.trigger.size());
  } else if (grammar.calls.size() == 1) {
    grammar.opening += std::exchange(grammar.calls[0].before, "");
  }
  // Calls that stand alone come again by their own trigger.
  const bool stands_alone = is_auto && texts.open.empty();
  grammar.max_calls = parallel && !stands_alone ? texts.max_calls : 1;
  grammar.again = std::string(texts.between) + std::string(texts.begin);
  if (grammar.calls[0].before.empty()) {
    // The name went into the opening, and a second call needs it too.
    grammar.again += grammar.opening.substr(texts.open.size() + texts.begin.size());
  }
  grammar.close = texts.close;
  return grammar;
}

}  // namespace hachi::chat
