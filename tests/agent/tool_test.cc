#include "agent/tool.h"

#include <atomic>
#include <chrono>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "agent/calculator.h"

namespace hachi::agent {
namespace {

class Named : public Tool {
 public:
  explicit Named(std::string name) : Tool(std::move(name), "", {}) {}
  Result<std::string> call(const boost::json::object&, const CallContext&) override { return ""; }
};

bool can_add(Toolbox& tools, std::string name) {
  return tools.add(std::make_unique<Named>(std::move(name))).has_value();
}

TEST(Toolbox, HoldsToolsByTheirNames) {
  Toolbox tools;
  EXPECT_TRUE(can_add(tools, "a-B_9"));
  EXPECT_FALSE(can_add(tools, "a-B_9"));
  EXPECT_FALSE(can_add(tools, ""));
  EXPECT_FALSE(can_add(tools, "a b"));
  EXPECT_FALSE(can_add(tools, "a.b"));
  EXPECT_TRUE(can_add(tools, std::string(64, 'x')));
  EXPECT_FALSE(can_add(tools, std::string(65, 'y')));
  EXPECT_TRUE(can_add(tools, "z"));
  ASSERT_NE(tools.find("z"), nullptr);
  EXPECT_EQ(tools.find("z")->name(), "z");
  EXPECT_EQ(tools.find("Z"), nullptr);
  EXPECT_EQ(tools.names(), "a-B_9, " + std::string(64, 'x') + ", z");
}

TEST(Toolbox, DefinesToolsAsOpenAiDoes) {
  Toolbox tools;
  ASSERT_TRUE(tools.add(std::make_unique<Calculator>()));
  boost::json::array definitions = tools.definitions();
  ASSERT_EQ(definitions.size(), 1u);
  boost::json::object& function = definitions[0].at("function").as_object();
  EXPECT_FALSE(function.at("description").as_string().empty());
  function.erase("description");
  function.at("parameters").at("properties").at("expression").as_object().erase("description");
  EXPECT_EQ(definitions[0], boost::json::parse(R"({
      "type": "function",
      "function": {
        "name": "calculator",
        "parameters": {
          "type": "object",
          "properties": {"expression": {"type": "string"}},
          "required": ["expression"],
          "additionalProperties": false}}})"));
}

std::string problem(std::string_view schema, std::string_view arguments) {
  const auto checked = check_arguments(boost::json::parse(schema).as_object(),
                                       boost::json::parse(arguments).as_object());
  return checked ? "" : checked.error().message;
}

TEST(Arguments, AreHeldToTheSchema) {
  constexpr std::string_view kSchema = R"({
      "properties": {
        "s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": ["number", "null"]},
        "b": {"type": "boolean"}, "a": {"type": "array"}, "o": {"type": "object"}, "any": {}},
      "required": ["s"], "additionalProperties": false})";
  EXPECT_EQ(problem(kSchema, R"({"s": "", "i": 3, "n": null, "b": true, "a": [], "o": {},
                                 "any": 1})"),
            "");
  EXPECT_EQ(problem(kSchema, R"({"s": "", "i": 3.0, "n": 0.5})"), "");
  EXPECT_EQ(problem(kSchema, "{}"), "the argument 's' is missing");
  EXPECT_EQ(problem(kSchema, R"({"s": 1})"), "the argument 's' must be of the type string");
  EXPECT_EQ(problem(kSchema, R"({"s": "", "i": 3.5})"),
            "the argument 'i' must be of the type integer");
  EXPECT_EQ(problem(kSchema, R"({"s": "", "n": "1"})"), "the argument 'n' is of none of its types");
  EXPECT_EQ(problem(kSchema, R"({"s": "", "t": 1})"), "there is no argument 't'");
}

TEST(Arguments, AreTakenUnderStrangeSchemas) {
  EXPECT_EQ(problem("{}", R"({"s": 1})"), "");
  EXPECT_EQ(
      problem(R"({"required": "s", "properties": 1, "additionalProperties": {}})", R"({"s": 1})"),
      "");
  EXPECT_EQ(problem(R"({"required": [1], "properties": {"s": true}})", R"({"s": 1})"), "");
  EXPECT_EQ(problem(R"({"properties": {"s": {"type": 1}, "t": {"type": "date"}}})",
                    R"({"s": 1, "t": 2})"),
            "");
}

TEST(Arguments, AreReadOneByOne) {
  const auto arguments =
      boost::json::parse(R"({"t": "x", "i": -7, "d": 3.0, "f": 3.5, "h": 1e300, "z": null})")
          .as_object();
  EXPECT_EQ(text_argument(arguments, "t").value(), "x");
  EXPECT_FALSE(text_argument(arguments, "i"));
  EXPECT_FALSE(text_argument(arguments, "missing"));
  EXPECT_EQ(integer_argument(arguments, "i").value(), -7);
  EXPECT_EQ(integer_argument(arguments, "d").value(), 3);
  EXPECT_EQ(integer_argument(arguments, "z").value(), std::nullopt);
  EXPECT_EQ(integer_argument(arguments, "missing").value(), std::nullopt);
  EXPECT_FALSE(integer_argument(arguments, "f"));
  EXPECT_FALSE(integer_argument(arguments, "h"));
  EXPECT_FALSE(integer_argument(arguments, "t"));
}

TEST(CallContext, IsOverAtItsDeadlineOrWhenCancelled) {
  const CallContext endless;
  EXPECT_TRUE(endless.check("x"));
  EXPECT_EQ(within(endless, std::chrono::milliseconds::max()).deadline, Clock::time_point::max());
  const CallContext late = within(endless, std::chrono::seconds(0));
  EXPECT_EQ(late.check("x").error().code, Code::kLimit);
  EXPECT_EQ(within(late, std::chrono::hours(1)).deadline, late.deadline);
  EXPECT_EQ(late.poll_ms(), 1);
  EXPECT_LE(within(endless, std::chrono::hours(1)).poll_ms(), 50);
  std::atomic<bool> cancelled = false;
  const CallContext cancellable{.cancelled = &cancelled};
  EXPECT_TRUE(cancellable.check("x"));
  cancelled = true;
  EXPECT_EQ(cancellable.check("x").error().code, Code::kCancelled);
}

}  // namespace
}  // namespace hachi::agent
