#include "grammar/regex.h"

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "core/utf8.h"
#include "formats/printable.h"
#include "grammar/class_escapes.h"

namespace hachi::grammar {
namespace {

// Line ends, which '.' leaves out; JavaScript has the last two besides Python's.
const CharSet kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class Parser {
 public:
  Parser(Rules& rules, std::string_view text, std::string_view what, const RegexOptions& options)
      : rules_(rules), text_(text), what_(what), options_(options) {}

  Result<NodeId> parse() {
    if (text_.size() > kMaxPatternBytes) {
      return fail(Code::kLimit, "{} has {} bytes; at most {} are allowed", what_, text_.size(),
                  kMaxPatternBytes);
    }
    if (!is_utf8(text_)) return refuse("it is not UTF-8");
    TRY(const NodeId node, alternatives(0));
    if (at_ < text_.size()) return refuse("there is a ')' without its '('");
    return node;
  }

 private:
  tl::unexpected<Error> refuse(std::string_view why) const {
    return fail(Code::kInvalidArgument, "{} cannot be used: at byte {} of {}, {}", what_, at_,
                formats::printable(text_), why);
  }
  bool is_at(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool take(char c) {
    if (!is_at(c)) return false;
    ++at_;
    return true;
  }
  NodeId write(const CharSet& set) {
    return options_.write ? options_.write(set) : rules_.chars(set);
  }
  NodeId anything() { return rules_.repeat(write(CharSet::all()), 0, Rules::kUnbounded); }

  // At depth 0 each branch may be anchored; where it is not, a search lets anything stand.
  Result<NodeId> alternatives(int depth) {
    if (depth > kMaxPatternDepth) return refuse("groups lie too deep in one another");
    std::vector<NodeId> branches;
    do {
      TRY(const NodeId branch, branch_of(depth));
      branches.push_back(branch);
    } while (take('|'));
    return rules_.one_of(branches);
  }

  Result<NodeId> branch_of(int depth) {
    std::vector<NodeId> parts;
    bool from_start = false;
    bool to_end = false;
    while (at_ < text_.size() && !is_at('|') && !is_at(')')) {
      if (is_at('^') || is_at('$')) {
        const bool is_start = is_at('^');
        const bool fits = is_start ? parts.empty() && !from_start : ends_branch(at_ + 1);
        if (depth > 0 || !fits) {
          return refuse("an anchor can only be at the very beginning (^) or end ($)");
        }
        ++at_;
        (is_start ? from_start : to_end) = true;
        continue;
      }
      TRY(const NodeId part, quantified(depth));
      parts.push_back(part);
    }
    if (depth == 0 && options_.is_search) {
      if (!from_start) parts.insert(parts.begin(), anything());
      if (!to_end) parts.push_back(anything());
    }
    return rules_.sequence(parts);
  }
  bool ends_branch(size_t at) const { return at == text_.size() || text_[at] == '|'; }

  Result<NodeId> quantified(int depth) {
    TRY(NodeId node, atom(depth));
    const std::optional<Counts> counts = read_quantifier(text_, at_);
    if (!counts && is_at('{')) {
      return refuse("'{' begins no count such as {2,5}; write \\{ for the character");
    }
    if (!counts) return node;
    if (const std::string wrong = wrong_with(*counts); !wrong.empty()) return refuse(wrong);
    take('?');  // lazy or not, the texts are the same
    if (is_at('*') || is_at('+') || is_at('?') || is_at('{')) {
      return refuse("a repetition is repeated; put it in a group");
    }
    return rules_.repeat(node, counts->min, counts->max);
  }

  Result<NodeId> atom(int depth) {
    const char c = text_[at_];
    switch (c) {
      case '(': {
        ++at_;
        TRY(group_prefix());
        TRY(const NodeId node, alternatives(depth + 1));
        if (!take(')')) return refuse("a '(' is not closed");
        return node;
      }
      case '[': {
        ++at_;
        TRY(const CharSet set, bracket());
        return write(set);
      }
      case '.':
        ++at_;
        return write(kLineEnds.complement());
      case '\\': {
        ++at_;
        TRY(const CharSet set, escape());
        return write(set);
      }
      case '*':
      case '+':
      case '?':
      case '{':
      case '}':
      case ']':
        return refuse(
            fmt::format("there is a '{0}' with nothing before it that it belongs to; "
                        "write \\{0} for the character",
                        c));
      default:
        return write(CharSet::of(take_char()));
    }
  }

  Result<void> group_prefix() {
    if (!take('?')) return {};
    if (take(':')) return {};
    if (is_at('=') || is_at('!')) return refuse("lookahead is not supported");
    take('P');
    if (take('<')) {
      if (is_at('=') || is_at('!')) return refuse("lookbehind is not supported");
      const size_t close = text_.find('>', at_);
      if (close != text_.npos) {
        at_ = close + 1;
        return {};
      }
    }
    return refuse("this kind of group is not supported");
  }

  Result<CharSet> escape() {
    if (at_ < text_.size()) {
      if (const auto set = class_escape(text_[at_])) {
        ++at_;
        return *set;
      }
    }
    const auto c = char_escape(text_, at_);
    if (!c) return refuse("the escape before this is not supported");
    return CharSet::of(*c);
  }

  uint32_t take_char() {
    const Utf8Char c = decode_utf8(text_.substr(at_));
    at_ += c.length;
    return c.code_point;
  }

  // The rest of a class after its '['.
  Result<CharSet> bracket() {
    const bool is_negated = take('^');
    CharSet set;
    for (bool is_first = true; at_ < text_.size(); is_first = false) {
      if (is_at(']') && !is_first) {
        ++at_;
        if (is_negated) set = set.complement();
        if (set.is_empty()) return refuse("the class before this has no character");
        return set;
      }
      if (is_at(']')) return refuse("a class is empty; write \\] for the character");
      TRY(CharSet first, class_member());
      const bool is_range = is_at('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
      if (is_range) {
        ++at_;
        TRY(const CharSet last, class_member());
        if (!is_char(first) || !is_char(last) || last.ranges()[0].first < first.ranges()[0].first) {
          return refuse("the range before this is not one character to a later one");
        }
        first.add(first.ranges()[0].first, last.ranges()[0].last);
      }
      set.add(first);
    }
    return refuse("a '[' is not closed");
  }
  static bool is_char(const CharSet& set) {
    return set.ranges().size() == 1 && set.ranges()[0].first == set.ranges()[0].last;
  }
  Result<CharSet> class_member() {
    if (is_at('[')) return refuse("a '[' in a class must be written \\[");
    if (take('\\')) {
      if (take('b')) return CharSet::of('\b');
      return escape();
    }
    return CharSet::of(take_char());
  }

  Rules& rules_;
  std::string_view text_;
  std::string_view what_;
  const RegexOptions& options_;
  size_t at_ = 0;
};

}  // namespace

Result<NodeId> parse_regex(Rules& rules, std::string_view pattern, std::string_view what,
                           const RegexOptions& options) {
  return Parser(rules, pattern, what, options).parse();
}

}  // namespace hachi::grammar
