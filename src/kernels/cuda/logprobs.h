// Logprobs of drawn tokens on a GPU (kernels/logprobs.h), of up to kLogprobRows rows a launch.
#pragma once

#include "kernels/cuda/types.h"
#include "kernels/logprobs.h"

namespace hachi::ops::cuda {

inline constexpr int kLogprobRows = 64;

struct LogprobBatch {
  struct Row {
    int32_t place;  // in what is written
    int32_t row;    // of the logits
    int32_t num_top;
  };
  Row rows[kLogprobRows];
  int count = 0;
};

// to[place] of each row, whose token is by_row[row], from logits [R,V]. `to` may be the processor's
// memory.
void find_logprobs(Stream stream, TokenLogprobs* to, const int32_t* by_row, const float* logits,
                   int64_t stride, int64_t vocab_size, const LogprobBatch& batch);

}  // namespace hachi::ops::cuda
