// Inputs made to be slow, deep or large: each must be refused or compiled at once, and no mask of
// it may take long.
#pragma once

#include <string>
#include <vector>

#include <fmt/format.h>

#include "grammar/spec.h"

namespace hachi::grammar {

struct Attack {
  std::string name;
  Spec spec;
};

inline std::string repeated(std::string_view text, size_t times) {
  std::string result;
  result.reserve(text.size() * times);
  for (size_t i = 0; i < times; ++i) result += text;
  return result;
}

// {"$defs": {"d0": {}, "d1": (d0, d0), "d2": (d1, d1) ...}}: exponential if references were copied.
inline std::string exponential_refs(int depth) {
  std::string defs = R"("d0":{"type":"string"})";
  for (int i = 1; i < depth; ++i) {
    defs += fmt::format(
        R"(,"d{0}":{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/d{1}"}},"b":{{"$ref":"#/$defs/d{1}"}}}}}})",
        i, i - 1);
  }
  return fmt::format(R"({{"$defs":{{{}}},"$ref":"#/$defs/d{}"}})", defs, depth - 1);
}

// The same with allOf, whose parts are merged, not shared.
inline std::string exponential_all_of(int depth) {
  std::string defs = R"("d0":{"minLength":1})";
  for (int i = 1; i < depth; ++i) {
    defs += fmt::format(
        R"(,"d{0}":{{"allOf":[{{"$ref":"#/$defs/d{1}"}},{{"$ref":"#/$defs/d{1}"}}]}})", i, i - 1);
  }
  return fmt::format(R"({{"$defs":{{{}}},"$ref":"#/$defs/d{}"}})", defs, depth - 1);
}

inline std::string chain_of_refs(int length) {
  std::string defs = R"("d0":{"type":"string"})";
  for (int i = 1; i < length; ++i) {
    defs += fmt::format(R"(,"d{}":{{"$ref":"#/$defs/d{}"}})", i, i - 1);
  }
  return fmt::format(R"({{"$defs":{{{}}},"$ref":"#/$defs/d{}"}})", defs, length - 1);
}

inline std::string many_properties(int count, std::string_view schema) {
  std::string properties;
  for (int i = 0; i < count; ++i) {
    properties += fmt::format("{}\"p{}\":{}", i ? "," : "", i, schema);
  }
  return fmt::format(R"({{"type":"object","properties":{{{}}},"additionalProperties":true}})",
                     properties);
}

inline std::string large_enum(int count) {
  std::string values;
  for (int i = 0; i < count; ++i) values += fmt::format("{}\"value {}\"", i ? "," : "", i);
  return fmt::format(R"({{"enum":[{}]}})", values);
}

inline std::string nested_arrays(int depth) {
  return repeated(R"({"type":"array","minItems":2,"items":)", static_cast<size_t>(depth)) +
         R"({"type":"null"})" + repeated("}", static_cast<size_t>(depth));
}

inline std::string many_branches(int count, std::string_view keyword) {
  std::string branches;
  for (int i = 0; i < count; ++i) {
    branches += fmt::format(R"({}{{"type":"object","properties":{{"k{}":{{"type":"string"}}}}}})",
                            i ? "," : "", i);
  }
  return fmt::format(R"({{"{}":[{}]}})", keyword, branches);
}

inline std::vector<Attack> schema_attacks() {
  const auto schema = [](std::string text) { return Spec::json_schema(std::move(text)); };
  return {
      {"100 KB of [", schema(repeated("[", 100'000))},
      {"100 KB of {\"a\":", schema(repeated("{\"items\":", 11'000))},
      {"60 arrays in one another", schema(nested_arrays(30))},
      {"maxLength 1000", schema(R"({"type":"string","maxLength":1000})")},
      {"maxLength 10000", schema(R"({"type":"string","minLength":9999,"maxLength":10000})")},
      {"maxLength 10^9", schema(R"({"type":"string","maxLength":1000000000})")},
      {"maxItems 10000 of maxLength 10000",
       schema(R"({"type":"array","maxItems":10000,"items":{"type":"string","maxLength":10000}})")},
      {"1000 strings of maxLength 10000",
       schema(many_properties(1000, R"({"type":"string","maxLength":10000})"))},
      {"exponential references", schema(exponential_refs(60))},
      {"exponential allOf", schema(exponential_all_of(60))},
      {"5000 references in a row", schema(chain_of_refs(5000))},
      {"a reference to itself", schema(R"({"$ref":"#"})")},
      {"two references in a circle",
       schema(
           R"({"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}},"$ref":"#/$defs/a"})")},
      {"recursion without an end",
       schema(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})")},
      {"5000 optional properties", schema(many_properties(5000, R"({"type":"null"})"))},
      {"enum of 10000", schema(large_enum(10'000))},
      {"anyOf of 900 objects", schema(many_branches(900, "anyOf"))},
      {"oneOf of 900 objects", schema(many_branches(900, "oneOf"))},
      {"allOf of 900 objects", schema(many_branches(900, "allOf"))},
      {"pattern (a*)*b", schema(R"({"type":"string","pattern":"^(a*)*b$"})")},
      {"pattern (.*a.{40}){20}", schema(R"({"type":"string","pattern":"(.*a.{40}){20}"})")},
      {"bounds of 15 digits",
       schema(R"({"type":"number","minimum":-123456789.123456,"maximum":987654321.654321})")},
  };
}

inline std::vector<Attack> text_attacks() {
  const auto regex = [](std::string text) { return Spec::regex(std::move(text)); };
  const auto ebnf = [](std::string text) { return Spec::ebnf(std::move(text)); };
  return {
      {"regex (a+)+$", regex("(a+)+$")},
      {"regex (a|a)*b", regex("(a|a)*b")},
      {"regex (.*){100}x", regex("(.*){100}x")},
      {"regex [ab]*a[ab]{2000}", regex("[ab]*a[ab]{2000}")},
      {"regex .*a.{200}", regex(".*a.{200}")},
      {"regex (((a{100}){100}){100}){100}", regex("(((a{100}){100}){100}){100}")},
      {"regex ((a?){9999}){9999}", regex("((a?){9999}){9999}")},
      {"regex a{10000}{10000}", regex("(a{10000}){10001}")},
      {"regex, 10 KB of (", regex(repeated("(", 10'000))},
      {"regex, 5000 alternatives", regex(repeated("ab|", 5000) + "c")},
      {"regex, 4000 classes", regex(repeated("[^a]", 4000))},
      {"EBNF, left recursion", ebnf("root ::= root \"a\" | \"b\"")},
      {"EBNF, hidden left recursion", ebnf("root ::= a root \"x\" | \"y\"\na ::= \"\" | \"z\"")},
      {"EBNF, no end", ebnf("root ::= \"a\" root")},
      {"EBNF, 100 KB of (", ebnf("root ::= " + repeated("(", 100'000))},
      {"EBNF, palindromes", ebnf("root ::= \"\" | [ab] | \"a\" root \"a\" | \"b\" root \"b\"")},
      {"EBNF, most ambiguous",
       ebnf("root ::= \"b\" | a root root | a root root root\na ::= [a-z] | [a-y] | [a-x]")},
      {"EBNF, exponential stacks",
       ebnf("root ::= [a-z] root [a-m] | [a-z] root [h-z] | [a-z] root [c-p] | \".\"")},
      {"EBNF, 1000 rules of 1000 names", ebnf([] {
         std::string text = "root ::= r0\n";
         for (int i = 0; i < 2000; ++i) {
           text += fmt::format("r{0} ::= \"a\" r{1} | \"a\" r{2} | \".\"\n", i, (i * 7 + 1) % 2000,
                               (i * 13 + 5) % 2000);
         }
         return text;
       }())},
      {"EBNF, nested repetitions", ebnf("root ::= ((([a-z]*)*)*)*")},
  };
}

inline std::vector<Attack> attacks() {
  std::vector<Attack> all = schema_attacks();
  for (Attack& attack : text_attacks()) all.push_back(std::move(attack));
  return all;
}

}  // namespace hachi::grammar
