// A Hugging Face folder as a GGUF file: names, pairs and the order of rows, as llama.cpp's
// converter writes them.
#pragma once

#include <memory>

#include "core/result.h"
#include "formats/checkpoint.h"
#include "quantize/source.h"

namespace hachi::quantize {

Result<Source> source_from_hf(std::shared_ptr<const formats::Checkpoint> checkpoint);

}  // namespace hachi::quantize
