// Reads which tokens end an answer.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "formats/checkpoint.h"

namespace hachi::model {

// What the files say, and besides the tokens that end a turn in the templates of this family, which
// some files forget: they are known by their texts. Sorted. Fails with kCorrupt if an id is not
// among the `vocab_size` tokens.
Result<std::vector<int32_t>> read_end_tokens(const formats::Checkpoint& checkpoint,
                                             std::string_view family, int64_t vocab_size);

}  // namespace hachi::model
