#include "cli/input.h"

#include <cstdio>
#include <iostream>

#include <boost/json.hpp>

#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "formats/json.h"

namespace hachi::cli {

Result<std::string> read_standard_input() {
  std::string text;
  char part[1 << 16];
  while (const size_t got = std::fread(part, 1, sizeof part, stdin)) {
    text.append(part, got);
    if (text.size() > kMaxInputBytes) {
      return fail(Code::kLimit, "standard input has more than the {} bytes allowed",
                  kMaxInputBytes);
    }
  }
  return text;
}

Result<std::string> read_prompt(const std::optional<std::string>& given) {
  if (!given && is_terminal(stdin)) {
    return fail(Code::kInvalidArgument,
                "there is no prompt: give one with -p, or on standard input");
  }
  std::string text = given.value_or("");
  if (!given) {
    TRY(text, read_standard_input());
  }
  if (text.empty()) return fail(Code::kInvalidArgument, "the prompt is empty");
  return text;
}

Result<void> each_json_line(const std::function<Result<void>(const boost::json::object&)>& each) {
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("line {} of standard input", number);
    TRY(const boost::json::object object, formats::parse_json_object(line, where));
    const Result<void> done = each(object);
    if (!done) return fail(done.error().code, "{}: {}", where, done.error().message);
  }
  if (InterruptGuard::requested()) return fail(Code::kCancelled, "interrupted");
  return {};
}

Result<std::string_view> string_field(const boost::json::object& object, std::string_view key) {
  const boost::json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_string()) {
    return fail(Code::kInvalidArgument, "the string \"{}\" is missing", key);
  }
  return std::string_view(value->get_string());
}

}  // namespace hachi::cli
