// Grammars that users write into rules. docs/structured-output.md lists the syntax.
#pragma once

#include <string_view>

#include "core/result.h"
#include "grammar/rules.h"

namespace hachi::grammar {

inline constexpr size_t kMaxEbnfBytes = 262'144;
inline constexpr int kMaxEbnfDepth = 100;  // of parentheses
inline constexpr std::string_view kEbnfRoot = "root";

// What the rule "root" of the grammar derives.
Result<NodeId> parse_ebnf(Rules& rules, std::string_view text);

}  // namespace hachi::grammar
