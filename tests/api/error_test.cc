#include "api/error.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

namespace hachi::api {
namespace {

TEST(ApiError, HasAStatusForEachCode) {
  const std::pair<Code, int> cases[] = {{Code::kInvalidArgument, 400},
                                        {Code::kNotFound, 404},
                                        {Code::kCorrupt, 500},
                                        {Code::kUnsupported, 400},
                                        {Code::kContextTooLong, 400},
                                        {Code::kLimit, 429},
                                        {Code::kIo, 500},
                                        {Code::kCancelled, 499},
                                        {Code::kInternal, 500}};
  for (const auto& [code, status] : cases) {
    const ApiError error = to_api_error({code, "what"});
    EXPECT_EQ(error.status, status);
    EXPECT_EQ(error.message, "what");
    EXPECT_FALSE(error.code.empty());
  }
  EXPECT_EQ(to_api_error({Code::kContextTooLong, ""}).code, "context_length_exceeded");
}

TEST(ApiError, HasOpenAisShape) {
  std::string out;
  append_openai_error(out, {400, "n must be at least 1, got 0", "n", ""});
  EXPECT_EQ(out,
            R"({"error":{"message":"n must be at least 1, got 0","type":"invalid_request_error",)"
            R"("param":"n","code":null}})");
  out.clear();
  append_openai_error_event(out, {500, "a\nb", "", "internal_error"});
  EXPECT_EQ(out,
            "data: {\"error\":{\"message\":\"a\\nb\",\"type\":\"server_error\","
            "\"param\":null,\"code\":\"internal_error\"}}\n\n");
}

TEST(ApiError, HasAnthropicsShape) {
  std::string out;
  append_anthropic_error(out, {404, "no such model", "model", "x"});
  EXPECT_EQ(out,
            R"({"type":"error","error":{"type":"not_found_error","message":"no such model"}})");
  out.clear();
  append_anthropic_error_event(out, {503, "full", "", ""});
  EXPECT_EQ(out,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
            "\"message\":\"full\"}}\n\n");
}

TEST(ApiError, HasAWordForEveryStatus) {
  for (int status = 400; status < 600; ++status) {
    EXPECT_FALSE(openai_error_type(status).empty());
    EXPECT_FALSE(anthropic_error_type(status).empty());
  }
  EXPECT_EQ(anthropic_error_type(413), "request_too_large");
  EXPECT_EQ(anthropic_error_type(418), "invalid_request_error");
  EXPECT_EQ(openai_error_type(504), "server_error");
}

}  // namespace
}  // namespace hachi::api
