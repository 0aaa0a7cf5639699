#include "chat/chat_template.h"

#include <algorithm>

#include "chat/jinja/interpreter.h"
#include "chat/jinja/json.h"
#include "chat/jinja/parser.h"

namespace hachi::chat {
namespace {

using jinja::Trust;

// The role of message `index`. It names parts of the template's own text ("<|im_start|>" + role),
// so it is trusted, and for that reason must be one of a fixed list.
Result<std::string_view> role_of(const boost::json::value& message, size_t index) {
  const boost::json::object* object = message.if_object();
  if (!object) {
    return fail(Code::kInvalidArgument, "messages[{}] is not an object", index);
  }
  const boost::json::value* role = object->if_contains("role");
  if (!role || !role->is_string()) {
    return fail(Code::kInvalidArgument, "messages[{}] has no \"role\", or it is not a string",
                index);
  }
  const std::string_view name = role->get_string();
  const auto* const known = std::find(std::begin(kRoles), std::end(kRoles), name);
  if (known == std::end(kRoles)) {
    return fail(Code::kInvalidArgument, "messages[{}].role must be one of {}; got \"{}\"", index,
                fmt::join(kRoles, ", "), name.substr(0, 40));
  }
  return *known;
}

Result<jinja::Value> message_value(jinja::Budget& budget, const boost::json::value& message,
                                   size_t index) {
  TRY(const std::string_view role, role_of(message, index));
  TRY(const jinja::Value all, jinja::from_json(budget, message, Trust::kUntrusted));
  jinja::Dict dict = *all.dict();
  TRY(jinja::insert(budget, dict, jinja::text_value("role"), jinja::text_value(std::string(role))));
  return jinja::dict_value(budget, std::move(dict));
}

Result<jinja::Value> messages_value(jinja::Budget& budget, const boost::json::array& messages) {
  std::vector<jinja::Value> items;
  for (size_t i = 0; i < messages.size(); ++i) {
    TRY(jinja::Value item, message_value(budget, messages[i], i));
    items.push_back(std::move(item));
  }
  return jinja::list_value(budget, std::move(items));
}

// The variables that the reference gives to a template, under the same names.
Result<void> set_variables(jinja::Budget& budget, const RenderInput& input,
                           jinja::Scope& variables) {
  TRY(jinja::Value messages, messages_value(budget, input.messages));
  jinja::Value tools = jinja::None{};
  if (!input.tools.empty()) {
    TRY(tools, jinja::from_json(budget, input.tools, Trust::kUntrusted));
  }
  variables.set("messages", std::move(messages));
  variables.set("tools", std::move(tools));
  variables.set("documents", jinja::None{});
  variables.set("add_generation_prompt", input.add_generation_prompt);
  variables.set("bos_token", jinja::text_value(input.bos_token));
  variables.set("eos_token", jinja::text_value(input.eos_token));
  if (input.enable_thinking) variables.set("enable_thinking", *input.enable_thinking);
  for (const auto& member : input.extra) {
    TRY(jinja::Value value, jinja::from_json(budget, member.value(), Trust::kUntrusted));
    variables.set({member.key().data(), member.key().size()}, std::move(value));
  }
  return {};
}

std::tm local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm out = {};
  localtime_r(&now, &out);
  return out;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  auto parsed = jinja::parse_template(source);
  if (!parsed) {
    return fail(parsed.error().code, "chat template, {}", parsed.error().message);
  }
  return ChatTemplate(std::make_shared<const jinja::Template>(*std::move(parsed)));
}

Result<Prompt> ChatTemplate::render(const RenderInput& input) const {
  jinja::Runtime runtime;
  runtime.now = input.now ? *input.now : local_time();
  jinja::Scope variables(nullptr);
  TRY(set_variables(runtime.budget, input, variables));
  auto text = jinja::Interpreter(runtime, variables).run(*program_);
  if (!text) {
    return fail(text.error().code, "chat template, {}", text.error().message);
  }
  return Prompt{std::move(text->bytes), std::move(text->untrusted)};
}

}  // namespace hachi::chat
