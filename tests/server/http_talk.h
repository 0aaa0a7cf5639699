// HTTP as the server's tests speak it: requests as bytes, answers taken apart.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "net/http_message.h"
#include "net/raw_client.h"

namespace hachi::server::testing {

using net::RawClient;

inline std::string http(std::string_view method, std::string_view target, std::string_view body,
                        std::string_view headers = "") {
  std::string length;
  if (!body.empty()) length = fmt::format("Content-Length: {}\r\n", body.size());
  return fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\n{}{}\r\n{}", method, target, headers,
                     length, body);
}

inline std::string post(std::string_view path, std::string_view body,
                        std::string_view headers = "") {
  return http("POST", path, body, headers);
}

struct Reply {
  int status = 0;  // 0: none came
  net::Headers headers;
  std::string body;       // without its chunks
  bool is_whole = false;  // as its length or its last chunk says

  std::string header(std::string_view name) const {
    return std::string(headers.find(name).value_or(""));
  }
  boost::json::value json() const {
    boost::system::error_code error;
    auto value = boost::json::parse(body, error);
    EXPECT_FALSE(error) << body;
    return value;
  }
  // "code" of an error in OpenAI's shape, "?" if the body is none.
  std::string error_field(std::string_view name) const {
    const boost::json::value value = json();
    const auto* object = value.if_object();
    const auto* error = object == nullptr ? nullptr : object->if_contains("error");
    if (error == nullptr || !error->is_object()) return "?";
    const auto* field = error->get_object().if_contains(name);
    if (field == nullptr) return "?";
    return field->is_string() ? std::string(field->get_string()) : boost::json::serialize(*field);
  }
  // The data of each event; comments are left out.
  std::vector<std::string> events() const {
    std::vector<std::string> out;
    for (size_t at = 0; at < body.size();) {
      const size_t end = std::min(body.find("\n\n", at), body.size());
      std::string_view event(body.data() + at, end - at);
      at = end + 2;
      if (const size_t line = event.find("data: "); line != event.npos) {
        out.emplace_back(event.substr(line + 6));
      }
    }
    return out;
  }
};

// The bytes of `chunked`; false in the second if its end is missing.
inline std::pair<std::string, bool> without_chunks(std::string_view chunked) {
  std::string out;
  while (true) {
    const size_t line = chunked.find("\r\n");
    if (line == chunked.npos) return {out, false};
    const size_t size = std::strtoul(std::string(chunked.substr(0, line)).c_str(), nullptr, 16);
    chunked.remove_prefix(line + 2);
    if (size == 0) return {out, chunked.starts_with("\r\n")};
    out += chunked.substr(0, size);
    if (chunked.size() < size + 2) return {out, false};
    chunked.remove_prefix(size + 2);
  }
}

// The first answer in `bytes`, which end with it.
inline Reply parse_reply(std::string_view bytes) {
  Reply reply;
  const size_t end = bytes.find("\r\n\r\n");
  if (end == bytes.npos || !bytes.starts_with("HTTP/1.1 ")) return reply;
  reply.status = std::atoi(std::string(bytes.substr(9, 3)).c_str());
  std::string_view head = bytes.substr(0, end + 2);
  for (size_t at = head.find("\r\n") + 2; at < head.size();) {
    const size_t line = head.find("\r\n", at);
    const std::string_view field = head.substr(at, line - at);
    const size_t colon = field.find(": ");
    if (colon != field.npos) {
      reply.headers.add(std::string(field.substr(0, colon)), std::string(field.substr(colon + 2)));
    }
    at = line + 2;
  }
  bytes.remove_prefix(end + 4);
  if (reply.header("Transfer-Encoding") == "chunked") {
    std::tie(reply.body, reply.is_whole) = without_chunks(bytes);
  } else {
    reply.body = bytes;
    reply.is_whole = std::to_string(reply.body.size()) == reply.header("Content-Length");
  }
  return reply;
}

// The answer to `request`, on a connection of its own.
inline Reply ask(uint16_t port, std::string_view request) {
  RawClient client(port);
  EXPECT_TRUE(client.connected());
  // After the request line, so that the server closes after the answer.
  std::string bytes(request);
  bytes.insert(bytes.find("\r\n") + 2, "Connection: close\r\n");
  client.send(bytes);
  Reply reply = parse_reply(client.read_all());
  EXPECT_TRUE(client.ended()) << "no end of the answer to: " << request.substr(0, 300);
  return reply;
}

// A conversation of one message; `more` are further members: R"("stream":true)".
inline std::string chat_body(std::string_view content = "Hello", std::string_view more = "") {
  return fmt::format(R"({{"model":"","messages":[{{"role":"user","content":"{}"}}]{}{}}})", content,
                     more.empty() ? "" : ",", more);
}

inline Reply chat(uint16_t port, std::string_view content = "Hello", std::string_view more = "") {
  return ask(port, post("/v1/chat/completions", chat_body(content, more)));
}

// What the chunks of a streamed conversation add up to, by choice.
struct StreamedChoice {
  std::string content, reasoning, finish;
  std::vector<std::string> logprob_tokens;
};

struct StreamedChat {
  std::vector<StreamedChoice> choices;
  std::optional<boost::json::object> usage, error;
  bool is_done = false;  // [DONE] came, and nothing after it
};

inline StreamedChat read_stream(const Reply& reply) {
  StreamedChat out;
  for (const std::string& data : reply.events()) {
    EXPECT_FALSE(out.is_done) << "after the end: " << data;
    if (data == "[DONE]") {
      out.is_done = true;
      continue;
    }
    const boost::json::value value = boost::json::parse(data);
    const boost::json::object& chunk = value.as_object();
    if (chunk.contains("error")) {
      out.error = chunk.at("error").as_object();
      continue;
    }
    if (const auto* usage = chunk.if_contains("usage"); usage != nullptr && usage->is_object()) {
      out.usage = usage->get_object();
    }
    for (const auto& one : chunk.at("choices").as_array()) {
      const auto index = static_cast<size_t>(one.at("index").as_int64());
      if (out.choices.size() <= index) out.choices.resize(index + 1);
      StreamedChoice& choice = out.choices[index];
      EXPECT_EQ(choice.finish, "") << "a choice goes on after its end: " << data;
      const auto& delta = one.at("delta").as_object();
      const auto add = [&](std::string& to, std::string_view name) {
        if (const auto* text = delta.if_contains(name)) to += text->as_string();
      };
      add(choice.content, "content");
      add(choice.reasoning, "reasoning_content");
      if (one.at("finish_reason").is_string()) choice.finish = one.at("finish_reason").as_string();
      if (!one.at("logprobs").is_object()) continue;
      for (const auto& token : one.at("logprobs").at("content").as_array()) {
        choice.logprob_tokens.emplace_back(token.at("token").as_string());
      }
    }
  }
  return out;
}

}  // namespace hachi::server::testing
