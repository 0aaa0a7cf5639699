#include "api/anthropic_messages.h"

#include <utility>

#include <boost/json/serialize.hpp>

#include "api/fields.h"
#include "api/json_text.h"

namespace hachi::api {
namespace {

// Marks for Anthropic's own cache. Ours finds common beginnings by itself.
void ignore_cache_marks(FieldReader& fields) { fields.ignore("cache_control"); }

void append_line(std::optional<std::string>& text, std::string_view line) {
  if (text) {
    *text += '\n';
    *text += line;
  } else {
    text = line;
  }
}

std::string read_text_block(FieldReader& block) {
  block.require("text");
  block.unsupported("citations");
  block.unsupported("parsed_output");  // the official client's own
  return block.text("text", kMaxTextBytes).value_or("");
}

// A field that is a text or a list of text blocks.
std::optional<std::string> read_texts(FieldReader& fields, std::string_view name) {
  const json::value* value = fields.any(name);
  if (!value) return std::nullopt;
  if (value->is_string()) return fields.text(name, kMaxTextBytes);
  if (!value->is_array()) {
    fields.fail(name, "must be a string or a list of blocks, got {}", shown(*value));
    return std::nullopt;
  }
  const json::array* blocks = fields.list(name, kMaxParts);
  if (!blocks) return std::nullopt;
  const std::string path = fields.path_of(name);
  std::optional<std::string> out;
  for (size_t i = 0; i < blocks->size(); ++i) {
    auto block = read_element((*blocks)[i], path, i, fields.error());
    if (!block) return std::nullopt;
    block->require("type");
    (void)block->word("type", {"text"});
    append_line(out, read_text_block(*block));
    ignore_cache_marks(*block);
    block->finish();
  }
  return out ? out : std::string();
}

// Turns the blocks of one message into messages of the template's form: a user's tool results
// become messages of the role tool, which come before what else the user says.
class BlockReader {
 public:
  BlockReader(std::string_view role, json::array& messages) : role_(role), messages_(messages) {}

  void read(FieldReader& block) {
    block.require("type");
    const bool is_assistant = role_ == "assistant";
    const bool is_user = role_ == "user";
    const auto type =
        is_assistant ? block.word("type", {"text", "thinking", "redacted_thinking", "tool_use"})
        : is_user    ? block.word("type", {"text", "tool_result"})
                     : block.word("type", {"text"});
    if (!type) return;
    if (*type == "text") append_line(text_, read_text_block(block));
    if (*type == "thinking") read_thinking(block);
    if (*type == "redacted_thinking") block.ignore("data");
    if (*type == "tool_use") read_tool_use(block);
    if (*type == "tool_result") read_tool_result(block);
    ignore_cache_marks(block);
    block.finish();
  }

  void finish() {
    const bool is_results_alone = !text_ && has_results_;
    if (is_results_alone) return;
    json::object message{{"role", role_}};
    if (thinking_) message.emplace("reasoning_content", std::move(*thinking_));
    if (text_ || calls_.empty()) {
      message.emplace("content", std::move(text_).value_or(""));
    } else {
      message.emplace("content", nullptr);
    }
    if (!calls_.empty()) message.emplace("tool_calls", std::move(calls_));
    messages_.push_back(std::move(message));
  }

 private:
  void read_thinking(FieldReader& block) {
    block.require("thinking");
    append_line(thinking_, block.text("thinking", kMaxTextBytes).value_or(""));
    (void)block.text("signature", kMaxTextBytes);
  }

  void read_tool_use(FieldReader& block) {
    block.require("name");
    json::object function{{"name", block.text("name").value_or("")}};
    block.require("input");
    if (const json::object* input = block.object("input")) {
      function.emplace("arguments", json::serialize(*input));
    }
    block.ignore("caller");
    calls_.push_back({{"id", block.text("id").value_or("")},
                      {"type", "function"},
                      {"function", std::move(function)}});
    if (calls_.size() > kMaxToolCalls) block.fail("type", "is one tool_use too many");
  }

  void read_tool_result(FieldReader& block) {
    block.require("tool_use_id");
    has_results_ = true;
    messages_.push_back({{"role", "tool"},
                         {"tool_call_id", block.text("tool_use_id").value_or("")},
                         {"content", read_texts(block, "content").value_or("")}});
    (void)block.boolean("is_error");
  }

  std::string_view role_;
  json::array& messages_;
  std::optional<std::string> text_;
  std::optional<std::string> thinking_;
  json::array calls_;
  bool has_results_ = false;
};

void read_message(FieldReader& fields, json::array& messages) {
  fields.require("role");
  const auto role = fields.word("role", {"user", "assistant", "system"});
  fields.require("content");
  const json::value* content = fields.any("content");
  if (!role || !content) return;
  if (content->is_string()) {
    const auto text = fields.text("content", kMaxTextBytes);
    if (text) messages.push_back({{"role", *role}, {"content", *text}});
  } else if (!content->is_array()) {
    fields.fail("content", "must be a string or a list of blocks, got {}", shown(*content));
  } else if (const json::array* blocks = fields.list("content", kMaxParts)) {
    BlockReader reader(*role, messages);
    const std::string path = fields.path_of("content");
    for (size_t i = 0; i < blocks->size(); ++i) {
      auto block = read_element((*blocks)[i], path, i, fields.error());
      if (!block) return;
      reader.read(*block);
    }
    reader.finish();
  }
  fields.finish();
}

json::array read_conversation(FieldReader& fields) {
  json::array out;
  if (const auto system = read_texts(fields, "system")) {
    out.push_back({{"role", "system"}, {"content", *system}});
  }
  fields.require("messages");
  const json::array* messages = fields.list("messages", kMaxMessages);
  if (!messages) return out;
  if (messages->empty()) fields.fail("messages", "must have at least one message");
  for (size_t i = 0; i < messages->size(); ++i) {
    auto message = read_element((*messages)[i], "messages", i, fields.error());
    if (!message) break;
    read_message(*message, out);
  }
  return out;
}

void read_thinking_config(FieldReader& fields, MessagesRequest& out) {
  const json::object* thinking = fields.object("thinking");
  if (!thinking) return;
  FieldReader reader(*thinking, "thinking", fields.error());
  reader.require("type");
  const auto type = reader.word("type", {"enabled", "disabled", "adaptive"});
  if (type == "enabled") {
    reader.require("budget_tokens");
    out.thinking_budget = reader.integer("budget_tokens", {1, kMaxInt32});
    if (out.thinking_budget && out.max_tokens > 0 && *out.thinking_budget >= out.max_tokens) {
      reader.fail("budget_tokens", "must be less than max_tokens, which is {}, got {}",
                  out.max_tokens, *out.thinking_budget);
    }
    out.enable_thinking = true;
  } else if (type == "adaptive") {
    out.enable_thinking.reset();
  }
  const auto display = reader.word("display", {"summarized", "omitted"});
  out.show_thinking = type != "disabled" && display != "omitted";
  reader.finish();
}

void read_output_config(FieldReader& fields) {
  const json::object* config = fields.object("output_config");
  if (!config) return;
  FieldReader reader(*config, "output_config", fields.error());
  (void)reader.word("effort", {"low", "medium", "high", "xhigh", "max"});
  reader.unsupported("format");
  reader.finish();
}

// {"type": "auto"} and {"type": "none"} ask for nothing where there are no tools.
void read_tool_choice(FieldReader& fields) {
  const json::object* choice = fields.object("tool_choice");
  if (!choice) return;
  FieldReader reader(*choice, "tool_choice", fields.error());
  reader.require("type");
  reader.unsupported("type", {"auto", "none"});
  (void)reader.boolean("disable_parallel_tool_use");
  reader.finish();
}

// What a message and the count of its tokens have in common.
void read_common(FieldReader& fields, MessagesRequest& out) {
  fields.require("model");
  out.model = fields.text("model").value_or("");
  out.messages = read_conversation(fields);
  read_thinking_config(fields, out);
  read_output_config(fields);
  fields.unsupported("tools");
  read_tool_choice(fields);
  ignore_cache_marks(fields);
  (void)fields.word("speed", {"standard"});
  if (fields.failed()) return;
  out.continue_final_message = out.messages.back().get_object().at("role") == "assistant";
}

void read_user(FieldReader& fields) {
  const json::object* metadata = fields.object("metadata");
  if (!metadata) return;
  FieldReader reader(*metadata, "metadata", fields.error());
  (void)reader.text("user_id");
  reader.finish();
}

}  // namespace

ApiResult<MessagesRequest> parse_messages_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  MessagesRequest out;
  fields.require("max_tokens");
  out.max_tokens = fields.integer("max_tokens", {1, kMaxInt32}).value_or(0);
  read_common(fields, out);
  read_temperature_and_top_p(fields, 1, out.sampling);
  out.sampling.top_k = read_top_k(fields);
  out.sampling.stop = read_stop(fields, "stop_sequences");
  out.stream = fields.boolean("stream").value_or(false);
  (void)fields.word("service_tier", {"auto", "standard_only"});
  read_user(fields);
  fields.finish();
  return value_or_error(std::move(out), error);
}

ApiResult<MessagesRequest> parse_count_tokens_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  MessagesRequest out;
  read_common(fields, out);
  fields.finish();
  return value_or_error(std::move(out), error);
}

void append_count_tokens_response(std::string& out, int64_t input_tokens) {
  ObjectWriter(out).integer("input_tokens", input_tokens).close();
}

std::string_view stop_reason(const MessageEnd& end) {
  if (!end.stop_sequence.empty()) return "stop_sequence";
  return end.reason == FinishReason::kStop ? "end_turn" : "max_tokens";
}

void append_message_usage(std::string& out, const Usage& usage) {
  ObjectWriter writer(out);
  writer.integer("input_tokens", usage.prompt_tokens - usage.cached_tokens)
      .integer("cache_creation_input_tokens", 0)
      .integer("cache_read_input_tokens", usage.cached_tokens)
      .integer("output_tokens", usage.completion_tokens);
  ObjectWriter(writer.member("output_tokens_details"))
      .integer("thinking_tokens", usage.reasoning_tokens)
      .close();
  writer.close();
}

void append_message(std::string& out, const ResponseHead& head, std::string_view thinking,
                    std::string_view text, const MessageEnd& end, const Usage& usage) {
  ObjectWriter writer(out);
  writer.text("id", head.id)
      .text("type", "message")
      .text("role", "assistant")
      .text("model", head.model)
      .member("content") += '[';
  Separator comma;
  if (!thinking.empty()) {
    comma(out);
    ObjectWriter(out)
        .text("type", "thinking")
        .text("thinking", thinking)
        .text("signature", "")
        .close();
  }
  if (!text.empty() || end.reason == FinishReason::kStop) {
    comma(out);
    ObjectWriter(out).text("type", "text").text("text", text).null("citations").close();
  }
  out += ']';
  writer.text("stop_reason", stop_reason(end)).text_or_null("stop_sequence", end.stop_sequence);
  append_message_usage(writer.member("usage"), usage);
  writer.close();
}

}  // namespace hachi::api
