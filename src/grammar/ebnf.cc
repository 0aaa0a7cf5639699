#include "grammar/ebnf.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/utf8.h"
#include "formats/printable.h"
#include "grammar/class_escapes.h"

namespace hachi::grammar {
namespace {

class Parser {
 public:
  Parser(Rules& rules, std::string_view text) : rules_(rules), text_(text) {}

  Result<NodeId> parse() {
    if (text_.size() > kMaxEbnfBytes) {
      return fail(Code::kLimit, "the grammar has {} bytes; at most {} are allowed", text_.size(),
                  kMaxEbnfBytes);
    }
    if (!is_utf8(text_)) return fail(Code::kInvalidArgument, "the grammar is not UTF-8");
    skip_space();
    while (at_ < text_.size()) {
      TRY(rule());
    }
    for (const auto& [name, known] : names_) {
      if (!known.is_defined) {
        at_ = known.first_use;
        return refuse(fmt::format("there is no rule named {}", formats::printable(name)));
      }
    }
    const auto root = names_.find(std::string(kEbnfRoot));
    if (root == names_.end()) {
      return fail(Code::kInvalidArgument, "the grammar has no rule named \"{}\" to begin with",
                  kEbnfRoot);
    }
    return rules_.rule(root->second.id);
  }

 private:
  struct Known {
    RuleId id;
    size_t first_use;
    bool is_defined = false;
  };

  tl::unexpected<Error> refuse(std::string_view why) const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    return fail(Code::kInvalidArgument, "the grammar cannot be used: on line {}, {}", line, why);
  }
  bool is_at(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool take(char c) {
    if (!is_at(c)) return false;
    ++at_;
    return true;
  }
  void skip_space() {
    while (at_ < text_.size()) {
      if (is_at('#')) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (std::isspace(static_cast<unsigned char>(text_[at_]))) {
        ++at_;
      } else {
        return;
      }
    }
  }
  static bool is_name_char(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  }
  std::string_view name_at(size_t at) const {
    size_t end = at;
    while (end < text_.size() && is_name_char(text_[end])) ++end;
    return text_.substr(at, end - at);
  }
  // Whether a rule's name and its ::= stand here.
  bool begins_rule() {
    const size_t begin = at_;
    at_ += name_at(at_).size();
    const bool has_name = at_ > begin;
    skip_space();
    const bool result = has_name && text_.substr(at_, 3) == "::=";
    at_ = begin;
    return result;
  }
  Known& known(std::string_view name) {
    const auto [found, is_new] = names_.try_emplace(std::string(name));
    if (is_new) found->second = {rules_.declare(std::string(name)), at_};
    return found->second;
  }

  Result<void> rule() {
    if (!begins_rule()) return refuse("a rule must begin here: its name and \"::=\"");
    const std::string name(name_at(at_));
    {
      Known& rule = known(name);
      if (rule.is_defined) {
        return refuse(fmt::format("the rule {} is there twice", formats::printable(name)));
      }
      rule.is_defined = true;
    }
    at_ += name.size();
    skip_space();
    at_ += 3;
    skip_space();
    TRY(const NodeId body, alternatives(0));
    rules_.define(known(name).id, body);
    if (is_at(')')) return refuse("there is a ')' without its '('");
    return {};
  }

  Result<NodeId> alternatives(int depth) {
    if (depth > kMaxEbnfDepth) {
      return refuse(fmt::format("parentheses are deeper than the {} allowed", kMaxEbnfDepth));
    }
    std::vector<NodeId> branches;
    do {
      skip_space();
      std::vector<NodeId> parts;
      while (at_ < text_.size() && !is_at('|') && !is_at(')') && !begins_rule()) {
        TRY(const NodeId part, quantified(depth));
        parts.push_back(part);
        skip_space();
      }
      branches.push_back(rules_.sequence(parts));
    } while (take('|'));
    return rules_.one_of(branches);
  }

  Result<NodeId> quantified(int depth) {
    TRY(const NodeId node, atom(depth));
    const std::optional<Counts> counts = read_quantifier(text_, at_);
    if (!counts && is_at('{')) {
      return refuse("a count must look like {2}, {2,} or {2,5}");
    }
    if (!counts) return node;
    if (const std::string wrong = wrong_with(*counts); !wrong.empty()) return refuse(wrong);
    if (is_at('*') || is_at('+') || is_at('?') || is_at('{')) {
      return refuse("a repetition is repeated; put it in parentheses");
    }
    return rules_.repeat(node, counts->min, counts->max);
  }

  Result<NodeId> atom(int depth) {
    if (take('(')) {
      TRY(const NodeId node, alternatives(depth + 1));
      if (!take(')')) return refuse("a '(' is not closed");
      return node;
    }
    if (take('"')) return literal();
    if (take('[')) return char_class();
    if (take('.')) return rules_.chars(CharSet::all().minus(CharSet::of('\n')));
    const std::string_view name = name_at(at_);
    if (name.empty()) {
      return refuse(
          fmt::format("{} is not part of the syntax", formats::printable(text_.substr(at_, 1))));
    }
    const RuleId id = known(name).id;
    at_ += name.size();
    return rules_.rule(id);
  }

  Result<uint32_t> character() {
    if (is_at('\n')) return refuse("a text or class goes beyond its line; write \\n");
    if (take('\\')) {
      const auto c = char_escape(text_, at_);
      if (!c) return refuse("an escape is not known");
      return *c;
    }
    const Utf8Char c = decode_utf8(text_.substr(at_));
    at_ += c.length;
    return c.code_point;
  }

  Result<NodeId> literal() {
    std::string bytes;
    while (at_ < text_.size()) {
      if (take('"')) return rules_.literal(bytes);
      TRY(const uint32_t c, character());
      append_utf8(bytes, c);
    }
    return refuse("a text is not closed");
  }

  Result<NodeId> char_class() {
    const bool is_negated = take('^');
    CharSet set;
    while (at_ < text_.size()) {
      if (take(']')) {
        if (is_negated) set = set.complement();
        if (set.is_empty()) return refuse("a class has no character");
        return rules_.chars(set);
      }
      if (is_at('\\') && at_ + 1 < text_.size()) {
        if (const auto escaped = class_escape(text_[at_ + 1])) {
          set.add(*escaped);
          at_ += 2;
          continue;
        }
      }
      TRY(const uint32_t first, character());
      uint32_t last = first;
      if (is_at('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        TRY(last, character());
        if (last < first) return refuse("a range in a class runs backwards");
      }
      set.add(first, last);
    }
    return refuse("a class is not closed");
  }

  Rules& rules_;
  std::string_view text_;
  std::unordered_map<std::string, Known> names_;
  size_t at_ = 0;
};

}  // namespace

Result<NodeId> parse_ebnf(Rules& rules, std::string_view text) {
  return Parser(rules, text).parse();
}

}  // namespace hachi::grammar
