// Vocabularies of the tests' own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/random.h"
#include "grammar/compiler.h"
#include "grammar/matcher.h"
#include "grammar/vocabulary.h"

namespace hachi::grammar {

// The stop id of both.
inline constexpr TokenId kStop = 256;

// All bytes, the stop id, and `words`.
inline std::shared_ptr<const Vocabulary> byte_vocabulary(
    const std::vector<std::string>& words = {}) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  tokens.emplace_back();
  tokens.insert(tokens.end(), words.begin(), words.end());
  auto vocabulary = Vocabulary::make(std::move(tokens), std::vector<TokenId>{kStop});
  EXPECT_TRUE(vocabulary);
  return *vocabulary;
}

inline std::shared_ptr<const Grammar> compile(const Spec& spec) {
  static Compiler& compiler = *new Compiler(byte_vocabulary());
  auto grammar = compiler.compile(spec);
  EXPECT_TRUE(grammar) << (grammar ? "" : grammar.error().message);
  return grammar ? *grammar : nullptr;
}

// Whether the whole text satisfies the spec.
inline bool matches(const Spec& spec, std::string_view text) {
  const auto grammar = compile(spec);
  if (!grammar) return false;
  Matcher matcher(grammar);
  return matcher.accept_bytes(text) && matcher.can_end();
}

// The message that the spec is refused with; empty if it is not.
inline std::string refusal(const Spec& spec) {
  const auto checked = check(spec);
  return checked ? "" : checked.error().message;
}

}  // namespace hachi::grammar
