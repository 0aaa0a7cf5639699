// How a tokenizer.json cuts a text before it merges, as the one word that GGUF has for it.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/object.hpp>

#include "core/result.h"

namespace hachi::quantize {

struct Splitting {
  std::string_view pre;     // tokenizer.ggml.pre
  bool pieces = false;      // SentencePiece's: U+2581 for spaces, bytes as <0x41>
  bool adds_space = false;  // of pieces: a space before the text
};

// `root`: the object of a tokenizer.json that Tokenizer has read; `file` names it in messages.
Result<Splitting> find_splitting(const boost::json::object& root, std::string_view file);

}  // namespace hachi::quantize
