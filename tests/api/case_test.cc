// The text cases of tests/cases/api. A file holds several: "=== name", a description, then the
// sections "--- endpoints" (names of endpoints.h, one a line), "--- accepted" and "--- refused".
// Each line of those is a request: a whole one if it begins with "{", else members that are added
// to the endpoint's smallest request. A refused line goes on with " => param | message".
#include <algorithm>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "api/endpoints.h"
#include "core/files.h"

namespace hachi::api {
namespace {

struct Case {
  std::string name;
  std::vector<std::string> endpoints;
  std::vector<std::string> accepted;
  std::vector<std::string> refused;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

void read_cases(const std::filesystem::path& path, std::vector<Case>& out) {
  const auto text = read_file(path, 1 << 20);
  ASSERT_TRUE(text) << path;
  std::vector<std::string>* section = nullptr;
  size_t begin = 0;
  for (size_t end; (end = text->find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text->substr(begin, end - begin);
    if (line.starts_with("=== ")) {
      out.push_back({path.stem().string() + "_" + line.substr(4), {}, {}, {}});
      section = nullptr;
    } else if (line == "--- endpoints") {
      section = &out.back().endpoints;
    } else if (line == "--- accepted") {
      section = &out.back().accepted;
    } else if (line == "--- refused") {
      section = &out.back().refused;
    } else if (section && !line.empty()) {
      section->push_back(line);
    }
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> out;
  const auto folder = std::filesystem::path(HACHI_TEST_DIR) / "cases" / "api";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".case") read_cases(entry.path(), out);
  }
  return out;
}

std::string request_of(const Endpoint& endpoint, const std::string& line) {
  if (line.starts_with("{")) return line;
  return fmt::format("{{{},{}}}", endpoint.base, line);
}

class ApiCase : public testing::TestWithParam<Case> {};

TEST_P(ApiCase, IsAcceptedOrRefusedAsItSays) {
  const Case& c = GetParam();
  ASSERT_FALSE(c.endpoints.empty());
  ASSERT_FALSE(c.accepted.empty() && c.refused.empty());
  for (const std::string& name : c.endpoints) {
    const auto* endpoint = std::find_if(std::begin(kEndpoints), std::end(kEndpoints),
                                        [&](const Endpoint& e) { return e.name == name; });
    ASSERT_NE(endpoint, std::end(kEndpoints)) << name;
    for (const std::string& line : c.accepted) {
      const auto error = endpoint->error_of(request_of(*endpoint, line));
      EXPECT_FALSE(error) << name << ": " << line << "\n" << (error ? error->message : "");
    }
    for (const std::string& line : c.refused) {
      const size_t arrow = line.rfind(" => ");
      ASSERT_NE(arrow, std::string::npos) << line;
      const auto error = endpoint->error_of(request_of(*endpoint, line.substr(0, arrow)));
      ASSERT_TRUE(error) << name << ": " << line;
      EXPECT_EQ(error->param + " | " + error->message, line.substr(arrow + 4)) << name;
      EXPECT_EQ(error->status, 400) << name << ": " << line;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, ApiCase, testing::ValuesIn(all_cases()),
                         [](const auto& instance) { return instance.param.name; });

// The base requests themselves, and what every endpoint refuses.
TEST(AllEndpoints, AcceptTheirSmallestRequestAndNothingUnknown) {
  for (const Endpoint& endpoint : kEndpoints) {
    EXPECT_FALSE(endpoint.error_of(fmt::format("{{{}}}", endpoint.base))) << endpoint.name;
    const auto unknown = endpoint.error_of(request_of(endpoint, R"("no_such_field":1)"));
    ASSERT_TRUE(unknown) << endpoint.name;
    EXPECT_EQ(unknown->param, "no_such_field");
    EXPECT_EQ(unknown->code, "unknown_parameter");
    EXPECT_EQ(unknown->message, "no_such_field is not a field that is known here");
  }
}

TEST(AllEndpoints, RefuseWhatIsNoJsonObject) {
  const std::string cases[][2] = {
      {"", "line 1, column 1: incomplete JSON"},
      {"[1]", "the request must be a JSON object, got a list"},
      {"null", "the request must be a JSON object, got null"},
      {"{\"a\":1,\"a\":2}", "the key 'a' is twice"},
      {"{\"a\":NaN}", "line 1, column 6"},
      {"{\"a\":1e400}", "the number '1e400' does not fit a double"},
      {"{\"a\":\"\xff\"}", "line 1, column 7"},
      {"{\"a\":\"\\ud800\"}", "line 1, column 13"},
      {"{\"a\":\"\\udc00\"}", "surrogate"},
      {"{\"a\":\"\\ud800\\u0041\"}", "surrogate"},
      {"{\"a\":1}x", "line 1, column 8"},
      {"{\"a\":" + std::string(100'000, '['), "line 1, column"},
  };
  for (const Endpoint& endpoint : kEndpoints) {
    for (const auto& [text, message] : cases) {
      const auto error = endpoint.error_of(text);
      ASSERT_TRUE(error) << endpoint.name << ": " << text.substr(0, 40);
      EXPECT_EQ(error->status, 400);
      EXPECT_EQ(error->code, "invalid_json");
      EXPECT_NE(error->message.find(message), std::string::npos) << error->message;
    }
  }
}

// A key that is hostile to look at or very long is shown in a form that is neither.
TEST(AllEndpoints, ShowUnknownKeysWithinLimits) {
  const std::string long_key(1'000'000, 'k');
  for (const Endpoint& endpoint : kEndpoints) {
    const auto error = endpoint.error_of(request_of(endpoint, fmt::format("\"{}\":1", long_key)));
    ASSERT_TRUE(error);
    EXPECT_LT(error->message.size(), 200u);
    const auto control = endpoint.error_of(request_of(endpoint, R"("\u001b[2J":1)"));
    ASSERT_TRUE(control);
    EXPECT_EQ(control->param, "\\x1B[2J");
  }
}

}  // namespace
}  // namespace hachi::api
