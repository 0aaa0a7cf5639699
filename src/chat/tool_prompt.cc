#include "chat/tool_prompt.h"

#include <algorithm>
#include <array>
#include <vector>

#include <boost/json.hpp>

#include "formats/json.h"

namespace hachi::chat {
namespace {

using boost::json::array;
using boost::json::object;
using boost::json::value;

constexpr std::string_view kProbeName = "probe_function", kProbeResult = "probe_result",
                           kProbeSystem = "probe_system", kProbeId = "probe0123";

// The member as a string; empty if it is none.
std::string_view text_of(const object& from, std::string_view key) {
  const value* member = from.if_contains(key);
  return member != nullptr && member->is_string() ? std::string_view(member->get_string())
                                                  : std::string_view();
}

bool has_role(const value& message, std::string_view role) {
  return message.is_object() && text_of(message.get_object(), "role") == role;
}

array* calls_of(value& message) {
  if (!has_role(message, "assistant")) return nullptr;
  value* calls = message.get_object().if_contains("tool_calls");
  return calls != nullptr && calls->is_array() && !calls->get_array().empty() ? &calls->get_array()
                                                                              : nullptr;
}

object* function_of(value& call) {
  if (!call.is_object()) return nullptr;
  value* function = call.get_object().if_contains("function");
  return function != nullptr && function->is_object() ? &function->get_object() : nullptr;
}

// Appends a paragraph to the message's content.
void add_paragraph(object& message, std::string_view text) {
  std::string content(text_of(message, "content"));
  if (!content.empty()) content += "\n\n";
  content += text;
  message["content"] = content;
}

std::string arguments_text(const object& function) {
  const value* arguments = function.if_contains("arguments");
  if (arguments == nullptr) return "{}";
  return arguments->is_string() ? std::string(arguments->get_string())
                                : boost::json::serialize(*arguments);
}

// Mistral's templates refuse ids that are not nine letters or digits.
std::string nine_letters(std::string_view id) {
  const auto is_fit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  if (id.size() == 9 && std::all_of(id.begin(), id.end(), is_fit)) return std::string(id);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char byte : id) hash = (hash ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  std::string letters;
  for (int i = 0; i < 9; ++i, hash /= 36)
    letters += "0123456789abcdefghijklmnopqrstuvwxyz"[hash % 36];
  return letters;
}

// ---- Calls that the template writes.

void fit_call(ToolStyle style, value& call) {
  if (function_of(call) == nullptr) return;
  if (!call.get_object().contains("type")) call.get_object()["type"] = "function";
  if (style == ToolStyle::kMistral) {
    call.get_object()["id"] = nine_letters(text_of(call.get_object(), "id"));
  }
  object* function = function_of(call);  // new members may have moved it
  // DeepSeek's template adds them to a string, the others write an object as JSON.
  if (style == ToolStyle::kDeepSeek) {
    (*function)["arguments"] = arguments_text(*function);
    return;
  }
  auto parsed = formats::parse_json(arguments_text(*function), "arguments");
  if (parsed && parsed->is_object()) (*function)["arguments"] = *std::move(parsed);
}

void fit_message(ToolStyle style, value& message) {
  if (calls_of(message) != nullptr) {
    object& fields = message.get_object();
    // Templates look into the content of each message.
    const value* content = fields.if_contains("content");
    if (content == nullptr || content->is_null()) fields["content"] = "";
    for (value& call : *calls_of(message)) fit_call(style, call);  // which may have moved
  }
  if (style == ToolStyle::kMistral && has_role(message, "tool")) {
    object& fields = message.get_object();
    fields["tool_call_id"] = nine_letters(text_of(fields, "tool_call_id"));
  }
}

// ---- Calls that it would leave out.

void write_calls_out(ToolStyle style, value& message) {
  std::vector<WrittenCall> written;
  for (value& call : *calls_of(message)) {
    const object* function = function_of(call);
    if (function == nullptr) continue;
    written.push_back({std::string(text_of(*function, "name")), arguments_text(*function)});
  }
  object& fields = message.get_object();
  fields.erase("tool_calls");
  std::string content(text_of(fields, "content"));
  if (!content.empty()) content += "\n";
  fields["content"] = content + write_calls(style, written);
}

std::string written_result(const object& message) {
  const value* content = message.if_contains("content");
  const std::string text = content == nullptr || content->is_string()
                               ? std::string(text_of(message, "content"))
                               : boost::json::serialize(*content);
  return "<tool_response>\n" + text + "\n</tool_response>";
}

// Results in a row are one turn of the user, as many templates want the roles in turn.
void write_messages_out(ToolStyle style, array& messages) {
  array out;
  bool in_results = false;
  for (value& message : messages) {
    const bool is_result = has_role(message, "tool");
    if (calls_of(message) != nullptr) write_calls_out(style, message);
    if (is_result && in_results) {
      object& last = out.back().get_object();
      last["content"] =
          std::string(text_of(last, "content")) + "\n" + written_result(message.get_object());
    } else if (is_result) {
      out.push_back({{"role", "user"}, {"content", written_result(message.get_object())}});
    } else {
      out.push_back(std::move(message));
    }
    in_results = is_result;
  }
  messages = std::move(out);
}

// ---- Tools that it would leave out.

std::string tool_prompt(const ToolFormat& format, const array& tools) {
  std::string text =
      "You can call functions. Each line is one of them: its name, what it does, and the JSON "
      "schema of its arguments.\n\n";
  for (const value& tool : tools) {
    const value* function = tool.is_object() ? tool.get_object().if_contains("function") : nullptr;
    text += boost::json::serialize(function == nullptr ? tool : *function) + "\n";
  }
  const std::array<WrittenCall, 2> examples = {
      {{"FUNCTION_NAME", "{\"ARGUMENT\": \"VALUE\"}"}, {"OTHER_NAME", "{\"ARGUMENT\": 1}"}}};
  text +=
      "\nTo call one, end your answer with exactly the following, the name and the arguments put "
      "in:\n\n" +
      write_calls(format.style, std::span(examples).first(1)) + "\n\n";
  if (call_texts(format.style).max_calls > 1) {
    text += "To call several at once:\n\n" + write_calls(format.style, examples) + "\n\n";
  }
  text +=
      "Think before you call, not within the call. Write nothing after it: the results come in the "
      "next message";
  if (!format.renders_calls) text += ", between <tool_response> and </tool_response>";
  return text +
         ". Call a function only where it helps, never invent a result, and answer in plain words "
         "once you know enough.";
}

void tell_of_tools(const ToolFormat& format, RenderInput& input) {
  const std::string text = tool_prompt(format, input.tools);
  input.tools.clear();
  const std::string_view role = format.takes_system ? "system" : "user";
  for (value& message : input.messages) {
    if (!has_role(message, role)) continue;
    const value* content = message.get_object().if_contains("content");
    if (content != nullptr && !content->is_string()) continue;
    return add_paragraph(message.get_object(), text);
  }
  input.messages.insert(input.messages.begin(), object{{"role", role}, {"content", text}});
}

// ---- What a template does.

bool writes(const ChatTemplate& chat_template, const RenderInput& input, std::string_view text) {
  const auto prompt = chat_template.render(input);
  return prompt && prompt->text.find(text) != std::string::npos;
}

RenderInput probe_of(std::string_view first_role, std::string_view first_text) {
  RenderInput input;
  input.messages.push_back({{"role", first_role}, {"content", first_text}});
  if (first_role != "user") input.messages.push_back({{"role", "user"}, {"content", "Hello"}});
  return input;
}

bool writes_calls(const ChatTemplate& chat_template, ToolStyle style) {
  RenderInput input = probe_of("user", "Hello");
  const object function = {{"name", kProbeName}, {"arguments", "{}"}};
  const object call = {{"id", kProbeId}, {"type", "function"}, {"function", function}};
  input.messages.push_back({{"role", "assistant"}, {"content", ""}, {"tool_calls", array{call}}});
  input.messages.push_back({{"role", "tool"},
                            {"name", kProbeName},
                            {"tool_call_id", kProbeId},
                            {"content", kProbeResult}});
  for (value& message : input.messages) fit_message(style, message);
  return writes(chat_template, input, kProbeName) && writes(chat_template, input, kProbeResult);
}

}  // namespace

ToolFormat probe_tool_format(const ChatTemplate& chat_template, std::string_view source) {
  ToolFormat format{.style = tool_style(source)};
  RenderInput tools = probe_of("user", "Hello");
  const object parameters = {{"type", "object"}, {"properties", object()}};
  const object function = {
      {"name", kProbeName}, {"description", "Does nothing."}, {"parameters", parameters}};
  tools.tools.push_back({{"type", "function"}, {"function", function}});
  format.renders_tools = writes(chat_template, tools, kProbeName);
  format.renders_calls = writes_calls(chat_template, format.style);
  format.takes_system = writes(chat_template, probe_of("system", kProbeSystem), kProbeSystem);
  return format;
}

void fit_tools(const ToolFormat& format, RenderInput& input) {
  if (format.renders_calls) {
    for (value& message : input.messages) fit_message(format.style, message);
  } else {
    write_messages_out(format.style, input.messages);
  }
  if (!input.tools.empty() && !format.renders_tools) tell_of_tools(format, input);
}

std::string write_calls(ToolStyle style, std::span<const WrittenCall> calls) {
  const CallTexts texts = call_texts(style);
  std::string out(texts.open);
  for (size_t i = 0; i < calls.size(); ++i) {
    if (i > 0) out += texts.between;
    out += fmt::format("{}{}{}{}{}", texts.begin, calls[i].name, texts.middle, calls[i].arguments,
                       texts.end);
  }
  return out + std::string(texts.close);
}

}  // namespace hachi::chat
