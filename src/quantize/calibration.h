// The text that a model is watched on, as chunks of tokens, and the importance measured on it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/thread_pool.h"
#include "formats/checkpoint.h"
#include "quantize/importance.h"
#include "quantize/progress.h"
#include "tokenizer/tokenizer.h"

namespace hachi::quantize {

inline constexpr int64_t kChunkTokens = 512;  // as llama.cpp's imatrix has it

// Whole chunks of `chunk_size` tokens, at most `max_chunks` (0: all), spread evenly over the text;
// each begins with the model's first token if it has one. Fails if the text is shorter than a
// chunk.
Result<std::vector<std::vector<int32_t>>> calibration_chunks(const tokenizer::Tokenizer& tokenizer,
                                                             std::string_view text,
                                                             int64_t chunk_size,
                                                             int64_t max_chunks);

// The whole text in sequences of at most `size` tokens, as calibration_chunks() begins them; the
// last may be shorter. Fails if it is too short to score a token.
Result<std::vector<std::vector<int32_t>>> text_windows(const tokenizer::Tokenizer& tokenizer,
                                                       std::string_view text, int64_t size);

// The importance of the inputs of all layers' matrices over the chunks (not of the output matrix).
// Sums are in double and do not depend on the number of threads.
Result<Importance> measure_importance(std::shared_ptr<const formats::Checkpoint> checkpoint,
                                      const std::vector<std::vector<int32_t>>& chunks,
                                      ThreadPool& pool, const Progress& progress,
                                      const ShouldStop& should_stop);

}  // namespace hachi::quantize
