// What a client is told when a request fails, and how it is written: one kind of error, in the
// shape of either API.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <tl/expected.hpp>

#include "core/result.h"

namespace hachi::api {

// The type of an error ("invalid_request_error", …) follows from its status and is not kept.
struct ApiError {
  int status = 400;     // of HTTP, 400 to 599
  std::string message;  // what, where and what to do
  std::string param;    // path of the field that is wrong, "messages[3].role"; empty: none
  std::string code;     // for programs, "context_length_exceeded"; empty: none
};

template <class T>
class [[nodiscard]] ApiResult : public tl::expected<T, ApiError> {
 public:
  using tl::expected<T, ApiError>::expected;
};

// 400 that names the field `param`.
template <class... Args>
ApiError invalid_field(std::string param, fmt::format_string<Args...> format, Args&&... args) {
  return {400, fmt::format(format, std::forward<Args>(args)...), std::move(param), "invalid_value"};
}

// The status and code of an error of the floors below. kCancelled is 499: nobody is there to read
// it, the number is for the log.
ApiError to_api_error(const Error& error);

// {"error": {"message", "type", "param", "code"}}
void append_openai_error(std::string& out, const ApiError& error);

// {"type": "error", "error": {"type", "message"}}; param and code stand in the message alone.
void append_anthropic_error(std::string& out, const ApiError& error);

// The same as the last event of a stream that had begun, framed for server-sent events.
void append_openai_error_event(std::string& out, const ApiError& error);
void append_anthropic_error_event(std::string& out, const ApiError& error);

// The word for a status in OpenAI's `type` and in Anthropic's.
std::string_view openai_error_type(int status);
std::string_view anthropic_error_type(int status);

}  // namespace hachi::api
