#include "grammar/spec.h"

#include <utility>

#include "grammar/automaton.h"
#include "grammar/spec_rules.h"

namespace hachi::grammar {

Spec Spec::choice(const std::vector<std::string>& texts) {
  std::vector<Spec> parts;
  parts.reserve(texts.size());
  for (const std::string& text : texts) parts.push_back(literal(text));
  return one_of(std::move(parts));
}

Result<void> check(const Spec& spec) {
  TRY(compile_rules(spec));
  return {};
}

}  // namespace hachi::grammar
