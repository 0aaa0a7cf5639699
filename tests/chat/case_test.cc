// The text cases of tests/cases/jinja. A file holds several: "=== name", a description, then the
// sections "--- template", "--- context" (JSON; what is no member of RenderInput is a variable) and
// what is expected: "--- output", "--- marked" (the output with ⟦ ⟧ around what is untrusted) or
// "--- error" (a part of the message).
#include <cstdio>
#include <filesystem>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "chat/chat_template.h"
#include "core/files.h"

namespace hachi::chat {
namespace {

struct Case {
  std::string name;
  std::map<std::string, std::string> sections;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    lines.push_back(text.substr(begin, end - begin));
  }
  return lines;
}

void read_cases(const std::filesystem::path& path, std::vector<Case>& out) {
  const auto text = read_file(path, 1 << 20);
  std::string* section = nullptr;
  for (const std::string& line : lines_of(text ? *text : std::string())) {
    if (line.starts_with("=== ")) {
      out.push_back({path.stem().string() + "_" + line.substr(4), {}});
      section = nullptr;
    } else if (line.starts_with("--- ") && !out.empty()) {
      section = &out.back().sections[line.substr(4)];
    } else if (section) {
      *section += line + "\n";
    }
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> out;
  const auto folder = std::filesystem::path(HACHI_TEST_DIR) / "cases" / "jinja";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".case") read_cases(entry.path(), out);
  }
  for (Case& c : out) {  // the newline before the next header is not part of a section
    for (auto& [name, text] : c.sections) text.pop_back();
  }
  return out;
}

std::string text_of(const boost::json::value& value) {
  return {value.get_string().data(), value.get_string().size()};
}

// "2024-07-26T09:05:03"
std::tm time_of(const std::string& text) {
  std::tm out = {};
  std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%d", &out.tm_year, &out.tm_mon, &out.tm_mday,
              &out.tm_hour, &out.tm_min, &out.tm_sec);
  out.tm_year -= 1900;
  out.tm_mon -= 1;
  std::mktime(&out);
  return out;
}

RenderInput input_of(const std::string& context) {
  RenderInput input;
  const boost::json::value json = boost::json::parse(context);
  for (const auto& member : json.get_object()) {
    const std::string_view name(member.key().data(), member.key().size());
    const boost::json::value& value = member.value();
    if (name == "messages") {
      input.messages = value.get_array();
    } else if (name == "tools") {
      input.tools = value.get_array();
    } else if (name == "add_generation_prompt") {
      input.add_generation_prompt = value.get_bool();
    } else if (name == "enable_thinking") {
      input.enable_thinking = value.get_bool();
    } else if (name == "bos_token") {
      input.bos_token = text_of(value);
    } else if (name == "eos_token") {
      input.eos_token = text_of(value);
    } else if (name == "now") {
      input.now = time_of(text_of(value));
    } else {
      input.extra[member.key()] = value;
    }
  }
  return input;
}

std::string marked(const Prompt& prompt) {
  std::string out;
  size_t at = 0;
  for (const TextRange& range : prompt.untrusted) {
    out += prompt.text.substr(at, range.begin - at) + "⟦";
    out += prompt.text.substr(range.begin, range.end - range.begin) + "⟧";
    at = range.end;
  }
  return out + prompt.text.substr(at);
}

Result<Prompt> render(const Case& c) {
  TRY(const ChatTemplate parsed, ChatTemplate::parse(c.sections.at("template")));
  return parsed.render(input_of(c.sections.at("context")));
}

class JinjaCase : public testing::TestWithParam<Case> {};

TEST_P(JinjaCase, GivesWhatIsExpected) {
  const auto& sections = GetParam().sections;
  const auto prompt = render(GetParam());
  if (const auto error = sections.find("error"); error != sections.end()) {
    ASSERT_FALSE(prompt) << prompt->text.substr(0, 1000);
    EXPECT_NE(prompt.error().message.find(error->second), std::string::npos)
        << prompt.error().message;
    return;
  }
  ASSERT_TRUE(prompt) << prompt.error().message;
  if (const auto with_marks = sections.find("marked"); with_marks != sections.end()) {
    EXPECT_EQ(marked(*prompt), with_marks->second);
  } else {
    EXPECT_EQ(prompt->text, sections.at("output"));
  }
}

INSTANTIATE_TEST_SUITE_P(All, JinjaCase, testing::ValuesIn(all_cases()),
                         [](const auto& instance) { return instance.param.name; });

}  // namespace
}  // namespace hachi::chat
