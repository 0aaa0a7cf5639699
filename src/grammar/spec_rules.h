// From a spec to its automaton, with all checks.
#pragma once

#include "core/result.h"
#include "grammar/automaton.h"
#include "grammar/spec.h"

namespace hachi::grammar {

inline constexpr int kMaxSpecDepth = 32;
inline constexpr size_t kMaxSpecParts = 20'000;  // of the whole tree

Result<Automaton> compile_rules(const Spec& spec);

}  // namespace hachi::grammar
