#include "api/error.h"

#include "api/json_text.h"

namespace hachi::api {
namespace {

struct StatusWords {
  int status;
  std::string_view openai;
  std::string_view anthropic;
};

constexpr StatusWords kStatusWords[] = {
    {400, "invalid_request_error", "invalid_request_error"},
    {401, "authentication_error", "authentication_error"},
    {403, "permission_error", "permission_error"},
    {404, "not_found_error", "not_found_error"},
    {413, "invalid_request_error", "request_too_large"},
    {429, "rate_limit_error", "rate_limit_error"},
    {500, "server_error", "api_error"},
    {503, "server_error", "overloaded_error"},
};

const StatusWords& words_of(int status) {
  for (const StatusWords& words : kStatusWords) {
    if (words.status == status) return words;
  }
  return status < 500 ? words_of(400) : words_of(500);
}

}  // namespace

std::string_view openai_error_type(int status) { return words_of(status).openai; }
std::string_view anthropic_error_type(int status) { return words_of(status).anthropic; }

ApiError to_api_error(const Error& error) {
  switch (error.code) {
    case Code::kInvalidArgument:
      return {400, error.message, "", "invalid_value"};
    case Code::kUnsupported:
      return {400, error.message, "", "unsupported"};
    case Code::kContextTooLong:
      return {400, error.message, "", "context_length_exceeded"};
    case Code::kNotFound:
      return {404, error.message, "", "not_found"};
    case Code::kLimit:
      return {429, error.message, "", "rate_limit_exceeded"};
    case Code::kCancelled:
      return {499, error.message, "", "cancelled"};
    case Code::kCorrupt:
    case Code::kIo:
    case Code::kInternal:
      break;
  }
  return {500, error.message, "", "internal_error"};
}

void append_openai_error(std::string& out, const ApiError& error) {
  out += R"({"error":)";
  ObjectWriter(out)
      .text("message", error.message)
      .text("type", openai_error_type(error.status))
      .text_or_null("param", error.param)
      .text_or_null("code", error.code)
      .close();
  out += '}';
}

void append_anthropic_error(std::string& out, const ApiError& error) {
  out += R"({"type":"error","error":)";
  ObjectWriter(out)
      .text("type", anthropic_error_type(error.status))
      .text("message", error.message)
      .close();
  out += '}';
}

void append_openai_error_event(std::string& out, const ApiError& error) {
  out += "data: ";
  append_openai_error(out, error);
  out += "\n\n";
}

void append_anthropic_error_event(std::string& out, const ApiError& error) {
  out += "event: error\ndata: ";
  append_anthropic_error(out, error);
  out += "\n\n";
}

}  // namespace hachi::api
