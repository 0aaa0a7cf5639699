// The components of a tokenizer.json around its model: normalizer, pre_tokenizer, post_processor,
// decoder. What is not supported is an error that names it; nothing is left out in silence.
#pragma once

#include <boost/json.hpp>

#include "core/result.h"
#include "tokenizer/tokenizer_parts.h"

namespace hachi::tokenizer {

// Fills the components of `parts`, whose vocabulary is there already, and says whether pieces are
// bytes (a ByteLevel pre-tokenizer).
Result<void> read_components(const boost::json::object& root, TokenizerParts& parts,
                             bool& byte_level);

}  // namespace hachi::tokenizer
