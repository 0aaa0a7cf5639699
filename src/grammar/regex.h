// Regular expressions into rules. docs/structured-output.md lists the syntax.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "core/result.h"
#include "grammar/rules.h"

namespace hachi::grammar {

inline constexpr size_t kMaxPatternBytes = 16'384;
inline constexpr int kMaxPatternDepth = 100;  // of groups within groups

struct RegexOptions {
  // How one character of a set is written; empty: in UTF-8.
  std::function<NodeId(const CharSet&)> write;
  // Whether the expression may match a part of the text, as JSON Schema's `pattern` does; else it
  // must match all of it.
  bool is_search = false;
};

// The texts that `pattern` matches. `what` names it in messages.
Result<NodeId> parse_regex(Rules& rules, std::string_view pattern, std::string_view what,
                           const RegexOptions& options);

}  // namespace hachi::grammar
