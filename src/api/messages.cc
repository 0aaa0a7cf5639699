#include "api/messages.h"

#include <algorithm>
#include <string>
#include <utility>

namespace hachi::api {
namespace {

constexpr std::string_view kReservedVariables[] = {"messages", "tools", "add_generation_prompt",
                                                   "bos_token", "eos_token"};

void put(json::object& message, std::string_view key, std::optional<std::string> text) {
  if (text) message.emplace(key, std::move(*text));
}

// A call with what templates read of it. `index` is what a client's stream left behind, and
// `parsed_arguments` what the official client made of the arguments.
json::object read_tool_call(FieldReader& call) {
  json::object out;
  put(out, "id", call.text("id"));
  (void)call.integer("index", {0, kMaxInt32});
  (void)call.word("type", {"function"});
  out.emplace("type", "function");
  call.require("function");
  if (const json::object* function = call.object("function")) {
    FieldReader reader(*function, call.path_of("function"), call.error());
    json::object read;
    reader.require("name");
    put(read, "name", reader.text("name"));
    const json::value* arguments = reader.any("arguments");
    if (arguments && !arguments->is_string() && !arguments->is_object()) {
      reader.fail("arguments", "must be a string or an object, got {}", shown(*arguments));
    } else if (arguments) {
      read.emplace("arguments", *arguments);
    }
    reader.ignore("parsed_arguments");
    reader.finish();
    out.emplace("function", std::move(read));
  }
  call.finish();
  return out;
}

json::array read_tool_calls(FieldReader& message) {
  json::array out;
  const json::array* calls = message.list("tool_calls", kMaxToolCalls);
  if (!calls) return out;
  const std::string path = message.path_of("tool_calls");
  for (size_t i = 0; i < calls->size(); ++i) {
    auto call = read_element((*calls)[i], path, i, message.error());
    if (!call) break;
    out.push_back(read_tool_call(*call));
  }
  return out;
}

void read_assistant(FieldReader& fields, json::object& message) {
  auto reasoning = fields.text("reasoning_content", kMaxTextBytes);
  auto newer_name = fields.text("reasoning", kMaxTextBytes);
  put(message, "reasoning_content", reasoning ? std::move(reasoning) : std::move(newer_name));
  if (json::array calls = read_tool_calls(fields); !calls.empty()) {
    message.emplace("tool_calls", std::move(calls));
  }
  // What answers have when they are sent back: ours, and those of the official client.
  (void)fields.boolean("reasoning_truncated");
  fields.ignore("parsed");
  fields.unsupported("refusal");
  fields.unsupported("annotations");
  fields.unsupported("audio");
  fields.unsupported("function_call");
}

json::object read_message(FieldReader& fields) {
  json::object message;
  fields.require("role");
  const auto role = fields.word("role", {"system", "developer", "user", "assistant", "tool"});
  if (!role) return message;
  message.emplace("role", *role);
  put(message, "name", fields.text("name"));
  if (*role == "assistant") read_assistant(fields, message);
  if (*role == "tool") put(message, "tool_call_id", fields.text("tool_call_id"));
  (void)fields.word("type", {"message", "text"});
  const bool has_calls = message.contains("tool_calls");
  if (!has_calls && !message.contains("reasoning_content")) fields.require("content");
  auto content = read_content(fields, "content", {"text"});
  if (content || !has_calls) {
    // An assistant's message that has thoughts alone: templates want a text there.
    message.emplace("content", content ? std::move(*content) : std::string());
  } else {
    message.emplace("content", nullptr);
  }
  fields.finish();
  return message;
}

}  // namespace

std::optional<std::string> read_content(FieldReader& fields, std::string_view name,
                                        std::initializer_list<std::string_view> part_types) {
  const json::value* value = fields.any(name);
  if (!value) return std::nullopt;
  if (value->is_string()) return fields.text(name, kMaxTextBytes);
  if (!value->is_array()) {
    fields.fail(name, "must be a string or a list of parts, got {}", shown(*value));
    return std::nullopt;
  }
  const json::array* parts = fields.list(name, kMaxParts);
  if (!parts) return std::nullopt;
  const std::string path = fields.path_of(name);
  std::string out;
  for (size_t i = 0; i < parts->size(); ++i) {
    auto part = read_element((*parts)[i], path, i, fields.error());
    if (!part) return std::nullopt;
    part->require("type");
    (void)part->word("type", part_types);
    part->require("text");
    const auto text = part->text("text", kMaxTextBytes);
    part->ignore("annotations");  // these two come with an answer that is sent back
    part->ignore("logprobs");
    part->finish();
    if (!text) return std::nullopt;
    if (i > 0) out += '\n';
    out += *text;
  }
  return out;
}

json::array read_messages(FieldReader& fields, std::string_view name) {
  json::array out;
  fields.require(name);
  const json::array* messages = fields.list(name, kMaxMessages);
  if (!messages) return out;
  if (messages->empty()) fields.fail(name, "must have at least one message");
  const std::string path = fields.path_of(name);
  out.reserve(messages->size());
  for (size_t i = 0; i < messages->size(); ++i) {
    auto message = read_element((*messages)[i], path, i, fields.error());
    if (!message) break;
    out.push_back(read_message(*message));
  }
  return out;
}

TemplateFields read_template_fields(FieldReader& fields, const json::array& messages) {
  TemplateFields out;
  if (const json::object* variables = fields.object("chat_template_kwargs")) {
    FieldReader reader(*variables, fields.path_of("chat_template_kwargs"), fields.error());
    out.enable_thinking = reader.boolean("enable_thinking");
    for (const std::string_view name : kReservedVariables) {
      if (variables->contains(name)) reader.fail(name, "is set by the request itself");
    }
    out.variables = *variables;
    out.variables.erase("enable_thinking");
  }
  const auto generation_prompt = fields.boolean("add_generation_prompt");
  out.continue_final_message = fields.boolean("continue_final_message").value_or(false);
  out.system_in_user = fields.boolean("system_in_user");
  out.add_generation_prompt = generation_prompt.value_or(!out.continue_final_message);
  if (!out.continue_final_message || fields.failed()) return out;
  if (out.add_generation_prompt) {
    fields.fail("continue_final_message", "needs \"add_generation_prompt\": false");
  } else if (messages.empty() || messages.back().get_object().at("role") != "assistant") {
    fields.fail("continue_final_message", "needs a last message of the role 'assistant'");
  }
  return out;
}

}  // namespace hachi::api
