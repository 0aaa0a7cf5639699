// Guessing ahead: what followed the last tokens of a text where they stood before, as answers often
// repeat what they are about (code that is edited, a document that is summed up). The model runs a
// guess beside the next token and keeps as much of it as it would have said itself.
//
// Source: Saxena 2023, "Prompt lookup decoding".
#pragma once

#include <cstdint>
#include <span>

namespace hachi::engine {

// The tokens that followed the latest earlier place of the longest ending of `tokens` (kMaxEnding
// down to kMinEnding tokens) in it: at most `most`, none if there is no such place. Looks at the
// last kMaxSearched tokens only.
std::span<const int32_t> guess_from(std::span<const int32_t> tokens, int64_t most);

}  // namespace hachi::engine
