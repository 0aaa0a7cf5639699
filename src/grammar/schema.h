// JSON schemas into rules. docs/structured-output.md lists what is enforced; a keyword that is not
// is refused with its JSON pointer, never ignored.
#pragma once

#include <string_view>

#include "core/result.h"
#include "grammar/json_text.h"
#include "grammar/rules.h"

namespace hachi::grammar {

inline constexpr size_t kMaxSchemaBytes = 262'144;
inline constexpr size_t kMaxSubschemas = 20'000;  // each counted as often as it is merged or used
inline constexpr int kMaxSchemaDepth = 200;       // references followed
inline constexpr size_t kMaxNameBytes = 256;      // of a property
inline constexpr size_t kMaxBranches = 1'000;     // of one anyOf or oneOf

// The JSON texts that the schema accepts, or a part of them: its properties come in the order of
// the schema, and members that it does not name only where additionalProperties says so.
Result<NodeId> parse_schema(Rules& rules, JsonText& json, std::string_view schema);

}  // namespace hachi::grammar
