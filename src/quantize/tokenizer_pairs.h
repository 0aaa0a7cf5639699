// The keys tokenizer.* of GGUF from the tokenizer's files of a Hugging Face folder.
#pragma once

#include "core/result.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "model/config.h"

namespace hachi::quantize {

// Only the tokens that end an answer if the folder has no tokenizer.json. GGUF names the way of
// splitting by one word; fails with kUnsupported if there is none for this tokenizer, or if what a
// reader would make of the keys tokenizes a text of all kinds of characters in another way.
Result<void> add_tokenizer_pairs(const formats::Checkpoint& checkpoint,
                                 const model::ModelConfig& config, formats::GgufPairList& pairs);

}  // namespace hachi::quantize
