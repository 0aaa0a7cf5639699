#include "grammar/spec_rules.h"

#include <vector>

#include "grammar/ebnf.h"
#include "grammar/json_text.h"
#include "grammar/regex.h"
#include "grammar/rules.h"
#include "grammar/schema.h"

namespace hachi::grammar {
namespace {

class Converter {
 public:
  explicit Converter(Rules& rules) : rules_(rules), json_(rules) {}

  Result<NodeId> convert(const Spec& spec, int depth) {
    if (depth > kMaxSpecDepth || ++num_parts_ > kMaxSpecParts) {
      return fail(Code::kLimit, "a format may have at most {} parts, {} deep", kMaxSpecParts,
                  kMaxSpecDepth);
    }
    switch (spec.kind) {
      case Spec::Kind::kLiteral:
        return rules_.literal(spec.text);
      case Spec::Kind::kJsonValue:
        return json_.value();
      case Spec::Kind::kJsonObject:
        return json_.object();
      case Spec::Kind::kJsonSchema:
        return parse_schema(rules_, json_, spec.text);
      case Spec::Kind::kRegex:
        return parse_regex(rules_, spec.text, "the regular expression", {});
      case Spec::Kind::kEbnf:
        return parse_ebnf(rules_, spec.text);
      default:
        break;
    }
    std::vector<NodeId> parts;
    for (const Spec& part : spec.parts) {
      TRY(const NodeId node, convert(part, depth + 1));
      parts.push_back(node);
    }
    if (spec.kind == Spec::Kind::kSequence) return rules_.sequence(parts);
    if (spec.kind == Spec::Kind::kRepeat) return repeat(spec, parts);
    if (parts.empty()) {
      return fail(Code::kInvalidArgument, "there is nothing to choose from: the list is empty");
    }
    return rules_.one_of(parts);
  }

 private:
  Result<NodeId> repeat(const Spec& spec, const std::vector<NodeId>& parts) {
    const bool fits = parts.size() == 1 && spec.min >= 0 && spec.min <= kMaxRepeat &&
                      spec.max <= kMaxRepeat &&
                      (spec.max == Spec::kUnbounded || spec.max >= spec.min);
    if (!fits) {
      return fail(Code::kInvalidArgument,
                  "a repetition needs one part and counts from 0 to {}, the least first",
                  kMaxRepeat);
    }
    return rules_.repeat(parts[0], spec.min, spec.max);
  }

  Rules& rules_;
  JsonText json_;
  size_t num_parts_ = 0;
};

}  // namespace

Result<Automaton> compile_rules(const Spec& spec) {
  Rules rules;
  const RuleId root = rules.declare("the format");
  TRY(const NodeId body, Converter(rules).convert(spec, 0));
  rules.define(root, body);
  return Automaton::build(rules, root);
}

}  // namespace hachi::grammar
