#include "api/response_input.h"

#include <utility>

#include "api/messages.h"

namespace hachi::api {
namespace {

void read_status(FieldReader& item) {
  (void)item.text("id");
  (void)item.word("status", {"in_progress", "completed", "incomplete"});
}

// Where calls come from that are not the model's own: there are none here.
void refuse_callers(FieldReader& item) {
  item.ignore("caller");
  item.unsupported("namespace");
  item.unsupported("async");
}

std::string read_thoughts(FieldReader& item) {
  read_status(item);
  (void)item.text("encrypted_content", kMaxTextBytes);
  (void)read_content(item, "summary", {"summary_text"});
  return read_content(item, "content", {"reasoning_text"}).value_or("");
}

json::object read_message_item(FieldReader& item) {
  read_status(item);
  (void)item.word("phase", {"commentary", "final_answer"});
  item.require("role");
  const auto role = item.word("role", {"system", "developer", "user", "assistant"});
  item.require("content");
  auto content = read_content(item, "content", {"input_text", "output_text"});
  if (!role || !content) return {};
  return {{"role", *role}, {"content", std::move(*content)}};
}

json::object read_call(FieldReader& item) {
  read_status(item);
  refuse_callers(item);
  item.require("call_id");
  const auto id = item.text("call_id");
  item.require("name");
  const auto name = item.text("name");
  item.require("arguments");
  const auto arguments = item.text("arguments", kMaxTextBytes);
  if (item.failed()) return {};
  return {{"id", *id},
          {"type", "function"},
          {"function", json::object{{"name", *name}, {"arguments", *arguments}}}};
}

json::object read_call_output(FieldReader& item) {
  read_status(item);
  refuse_callers(item);
  (void)item.text("name");
  item.require("call_id");
  const auto id = item.text("call_id");
  item.require("output");
  auto output = read_content(item, "output", {"input_text"});
  if (item.failed()) return {};
  return {{"role", "tool"}, {"tool_call_id", *id}, {"content", std::move(*output)}};
}

class ItemReader {
 public:
  explicit ItemReader(json::array& messages) : messages_(messages) {}

  void read(FieldReader& item) {
    const auto type =
        item.word("type", {"message", "reasoning", "function_call", "function_call_output"})
            .value_or("message");
    if (type == "reasoning") {
      thoughts_ = read_thoughts(item);
    } else if (type == "function_call") {
      add_call(item);
    } else if (json::object message =
                   type == "message" ? read_message_item(item) : read_call_output(item);
               !item.failed()) {
      add(std::move(message));
    }
    item.finish();
  }

 private:
  void add(json::object message) {
    if (message["role"] == "assistant" && !thoughts_.empty()) {
      message.emplace("reasoning_content", thoughts_);
    }
    thoughts_.clear();
    messages_.push_back(std::move(message));
  }

  void add_call(FieldReader& item) {
    json::object call = read_call(item);
    if (item.failed()) return;
    const bool goes_on = thoughts_.empty() && !messages_.empty() &&
                         messages_.back().get_object().at("role") == "assistant";
    if (!goes_on) add({{"role", "assistant"}, {"content", nullptr}});
    json::object& message = messages_.back().get_object();
    json::array& calls = message.emplace("tool_calls", json::array()).first->value().get_array();
    if (calls.size() == kMaxToolCalls) {
      item.fail("type", "is one function_call too many: at most {} can follow each other",
                kMaxToolCalls);
    }
    calls.push_back(std::move(call));
  }

  json::array& messages_;
  std::string thoughts_;  // of an item of reasoning, until its message comes
};

void read_items(FieldReader& fields, const json::array& items, json::array& messages) {
  const std::string path = fields.path_of("input");
  if (items.empty()) fields.fail("input", "must have at least one item");
  ItemReader reader(messages);
  for (size_t i = 0; i < items.size(); ++i) {
    auto item = read_element(items[i], path, i, fields.error());
    if (!item) return;
    reader.read(*item);
  }
  if (messages.empty()) fields.fail("input", "must have at least one message");
}

}  // namespace

json::array read_response_input(FieldReader& fields,
                                const std::optional<std::string>& instructions) {
  json::array messages;
  fields.require("input");
  const json::value* input = fields.any("input");
  if (!input) return messages;
  if (input->is_string()) {
    const auto text = fields.text("input", kMaxTextBytes);
    if (text) messages.push_back({{"role", "user"}, {"content", *text}});
  } else if (!input->is_array()) {
    fields.fail("input", "must be a string or a list of items, got {}", shown(*input));
  } else if (const json::array* items = fields.list("input", kMaxMessages)) {
    read_items(fields, *items, messages);
  }
  if (instructions) {
    messages.insert(messages.begin(), json::object{{"role", "system"}, {"content", *instructions}});
  }
  return messages;
}

}  // namespace hachi::api
