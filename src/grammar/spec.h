// Spec: what a text must look like. A tree of values: what a user asks for (a JSON schema, a
// regular expression, a grammar, a list of choices), and what the program composes of it (a tool
// call is a sequence of literals and a schema).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.h"

namespace hachi::grammar {

// JSON comes without free white space: one space after each ':' and ',', as Python's json.dumps
// writes it, and none elsewhere, so that no model can loop in it. docs/structured-output.md lists
// what is enforced of JSON Schema, and the syntax of regular expressions and EBNF.
struct Spec {
  enum class Kind : uint8_t {
    kLiteral,     // `text`, exactly
    kJsonValue,   // any JSON value
    kJsonObject,  // any JSON object
    kJsonSchema,  // a JSON value that the JSON schema in `text` accepts
    kRegex,       // what the regular expression in `text` matches as a whole
    kEbnf,        // what the rule "root" of the grammar in `text` derives
    kSequence,    // all `parts`, one after the other
    kOneOf,       // one of `parts`
    kRepeat,      // the one part, at least `min` times and at most `max` times
  };
  static constexpr int kUnbounded = -1;

  Kind kind = Kind::kLiteral;
  std::string text;
  std::vector<Spec> parts;
  int min = 0;
  int max = 0;

  static Spec literal(std::string text) { return {Kind::kLiteral, std::move(text), {}}; }
  static Spec json_value() { return {Kind::kJsonValue, {}, {}}; }
  static Spec json_object() { return {Kind::kJsonObject, {}, {}}; }
  static Spec json_schema(std::string schema) { return {Kind::kJsonSchema, std::move(schema), {}}; }
  static Spec regex(std::string pattern) { return {Kind::kRegex, std::move(pattern), {}}; }
  static Spec ebnf(std::string grammar) { return {Kind::kEbnf, std::move(grammar), {}}; }
  static Spec sequence(std::vector<Spec> parts) { return {Kind::kSequence, {}, std::move(parts)}; }
  static Spec one_of(std::vector<Spec> parts) { return {Kind::kOneOf, {}, std::move(parts)}; }
  // The literals of a list, one of which must come.
  static Spec choice(const std::vector<std::string>& texts);
  // `max` may be kUnbounded.
  static Spec repeat(Spec part, int min, int max) {
    return {Kind::kRepeat, {}, {std::move(part)}, min, max};
  }

  bool operator==(const Spec&) const = default;
};

// All checks of a spec, without a vocabulary: size, depth, counts, repetitions, recursion, syntax,
// keywords that would not be enforced. Takes milliseconds whatever the input; a spec that passes
// compiles. The message says what, where (for a
// schema the JSON pointer) and the limit.
Result<void> check(const Spec& spec);

}  // namespace hachi::grammar
