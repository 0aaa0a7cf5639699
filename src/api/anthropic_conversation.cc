#include "api/anthropic_conversation.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <boost/json/serialize.hpp>

#include "api/messages.h"

namespace hachi::api {
namespace {

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
    block->ignore("cache_control");  // ours finds common beginnings by itself
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
    block.ignore("cache_control");
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
    block.unsupported("toolset_name");
    calls_.push_back({{"id", block.text("id").value_or("")},
                      {"type", "function"},
                      {"function", std::move(function)}});
    if (calls_.size() > kMaxToolCalls) block.fail("type", "is one tool_use too many");
  }

  void read_tool_result(FieldReader& block) {
    block.require("tool_use_id");
    has_results_ = true;
    std::string content = read_texts(block, "content").value_or("");
    // Templates have no mark for it, and the model should know.
    if (block.boolean("is_error").value_or(false)) content.insert(0, "Error: ");
    block.unsupported("toolset_name");
    messages_.push_back({{"role", "tool"},
                         {"tool_call_id", block.text("tool_use_id").value_or("")},
                         {"content", content}});
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

}  // namespace

json::array read_anthropic_conversation(FieldReader& fields) {
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

}  // namespace hachi::api
