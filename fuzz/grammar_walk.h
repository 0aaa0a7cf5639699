// A text by tokens under the masks of a spec, chosen by the bytes of the spec itself. Whatever the
// spec: it is refused, or each token of a mask is accepted, and the memory stays bounded.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/check.h"
#include "grammar/compiler.h"
#include "grammar/lazy_dfa.h"
#include "grammar/matcher.h"

namespace hachi::grammar {

inline std::shared_ptr<const Vocabulary> fuzz_vocabulary() {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* text :
       {"", "ab", "abc", "\": ", ", \"", "{\"", "\"}", "12", "true", "é", "aaaa"}) {
    tokens.emplace_back(text);
  }
  return *Vocabulary::make(std::move(tokens), std::vector<TokenId>{256});
}

inline void fuzz_walk(Spec spec) {
  static const std::shared_ptr<const Vocabulary>& vocabulary =
      *new std::shared_ptr<const Vocabulary>(fuzz_vocabulary());
  Compiler compiler(vocabulary);
  const std::string text = spec.text;
  const auto grammar = compiler.compile(spec);
  CHECK_EQ(grammar.has_value(), check(spec).has_value());
  if (!grammar) return;
  Matcher matcher(*grammar);
  std::vector<uint32_t> mask(vocabulary->mask_words());
  uint32_t state = 1;
  for (size_t step = 0; step < 24; ++step) {
    matcher.fill_mask(mask);
    std::vector<TokenId> allowed;
    for (TokenId id = 0; id < vocabulary->size(); ++id) {
      if (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) allowed.push_back(id);
    }
    CHECK(!allowed.empty());
    state = state * 1664525 + static_cast<uint8_t>(text[step % std::max<size_t>(text.size(), 1)]);
    const TokenId token = allowed[(state >> 8) % allowed.size()];
    CHECK(matcher.accept(token));
    if (vocabulary->is_stop(token)) break;
    if (step % 5 == 4) {
      Matcher other = matcher.clone();
      CHECK(other.accept_bytes(other.forced_text()));
      matcher.rollback(1);
    }
  }
  CHECK((*grammar)->bytes() < 8 * kMaxDfaBytes);
}

}  // namespace hachi::grammar
