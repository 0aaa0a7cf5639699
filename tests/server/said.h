// What an answer says, taken from the body or the events of each of the APIs.
#pragma once

#include <string>
#include <string_view>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "server/http_talk.h"

namespace hachi::server::testing {

// Answers with at most one call.
struct Said {
  std::string reasoning, content, name, arguments, finish;
  bool is_truncated = false;  // the thoughts

  bool operator==(const Said&) const = default;
  friend void PrintTo(const Said& said, std::ostream* out) {
    *out << "thoughts '" << said.reasoning << "'" << (said.is_truncated ? " (truncated)" : "")
         << ", content '" << said.content << "', call " << said.name << said.arguments << ", "
         << said.finish;
  }
};

// Adds the text that stands at `pointer`, if one does.
inline void add_text(std::string& to, const boost::json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  const auto* found = value.find_pointer(pointer, error);
  if (found != nullptr && found->is_string()) to += found->get_string();
}

inline bool is_true(const boost::json::value& value, std::string_view pointer) {
  boost::system::error_code error;
  const auto* found = value.find_pointer(pointer, error);
  return found != nullptr && found->is_bool() && found->get_bool();
}

// `part` is "message" or "delta".
inline void add_chat(Said& said, const boost::json::value& body, const std::string& part) {
  const std::string at = "/choices/0/" + part;
  add_text(said.reasoning, body, at + "/reasoning_content");
  add_text(said.content, body, at + "/content");
  add_text(said.name, body, at + "/tool_calls/0/function/name");
  add_text(said.arguments, body, at + "/tool_calls/0/function/arguments");
  add_text(said.finish, body, "/choices/0/finish_reason");
  said.is_truncated |= is_true(body, at + "/reasoning_truncated");
}

inline void add_response(Said& said, const boost::json::value& body) {
  add_text(said.finish, body, "/status");
  for (const auto& item : body.at("output").as_array()) {
    const std::string_view type = item.at("type").as_string();
    if (type == "reasoning") {
      add_text(said.reasoning, item, "/content/0/text");
      said.is_truncated = item.at("status") == "incomplete";
    } else if (type == "message") {
      add_text(said.content, item, "/content/0/text");
    } else {
      add_text(said.name, item, "/name");
      add_text(said.arguments, item, "/arguments");
    }
  }
}

inline void add_message(Said& said, const boost::json::value& body) {
  add_text(said.finish, body, "/stop_reason");
  said.is_truncated = is_true(body, "/reasoning_truncated");
  for (const auto& block : body.at("content").as_array()) {
    add_text(said.reasoning, block, "/thinking");
    add_text(said.content, block, "/text");
    add_text(said.name, block, "/name");
    if (block.at("type") == "tool_use") said.arguments += serialize(block.at("input"));
  }
}

// An event of Anthropic's API.
inline void add_message_event(Said& said, const boost::json::value& event) {
  add_text(said.reasoning, event, "/delta/thinking");
  add_text(said.content, event, "/delta/text");
  add_text(said.name, event, "/content_block/name");
  add_text(said.arguments, event, "/delta/partial_json");
  add_text(said.finish, event, "/delta/stop_reason");
  said.is_truncated |= is_true(event, "/delta/reasoning_truncated");
}

// An event of the Responses API; its last one has the whole response, which has to say the same.
inline void add_response_event(Said& said, const boost::json::value& event) {
  const std::string_view type = event.at("type").as_string();
  if (type == "response.reasoning_text.delta") add_text(said.reasoning, event, "/delta");
  if (type == "response.output_text.delta") add_text(said.content, event, "/delta");
  if (type == "response.function_call_arguments.delta") add_text(said.arguments, event, "/delta");
  if (type == "response.output_item.added") add_text(said.name, event, "/item/name");
  if (type != "response.completed" && type != "response.incomplete") return;
  Said whole;
  add_response(whole, event.at("response"));
  said.finish = whole.finish;
  said.is_truncated = whole.is_truncated;
  EXPECT_EQ(said, whole);
}

// What the server says to the request of these members, which is asked for whole and streamed: both
// have to say the same.
inline Said said_by(uint16_t port, std::string_view path, const std::string& members) {
  const Reply reply = ask(port, post(path, "{" + members + "}"));
  EXPECT_EQ(reply.status, 200) << reply.body;
  if (reply.status != 200) return {};
  const bool is_chat = path == "/v1/chat/completions", is_response = path == "/v1/responses";
  Said whole, streamed;
  if (is_chat) {
    add_chat(whole, reply.json(), "message");
  } else if (is_response) {
    add_response(whole, reply.json());
  } else {
    add_message(whole, reply.json());
  }
  for (const std::string& data :
       ask(port, post(path, "{" + members + R"(,"stream":true})")).events()) {
    if (data == "[DONE]") continue;
    const auto event = boost::json::parse(data);
    if (is_chat) {
      add_chat(streamed, event, "delta");
    } else if (is_response) {
      add_response_event(streamed, event);
    } else {
      add_message_event(streamed, event);
    }
  }
  // Anthropic's API has the arguments as an object, the others as the text that the model wrote.
  if (!is_chat && !is_response && !streamed.arguments.empty()) {
    streamed.arguments = serialize(boost::json::parse(streamed.arguments));
  }
  EXPECT_EQ(streamed, whole) << path << " " << members;
  return whole;
}

}  // namespace hachi::server::testing
