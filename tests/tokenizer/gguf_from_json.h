// The metadata that a GGUF file of the same tokenizer would have, made from a tokenizer.json.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "formats/metadata.h"

namespace hachi::tokenizer {

// `pre` is the value of tokenizer.ggml.pre, or empty for a SentencePiece vocabulary. Texts are
// views of `document`, or lie in `storage`.
formats::Metadata gguf_from_json(const boost::json::object& document, std::string_view pre,
                                 std::deque<std::string>& storage);

}  // namespace hachi::tokenizer
