// Drawing tokens from logits on a GPU (kernels/draw.h), up to kDrawRows rows a launch.
#pragma once

#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

inline constexpr int kDrawRows = 64;

// One row; `*_at` are places in the words that belong to the launch.
struct DrawParams {
  double uniform;
  double top_p;
  float scale;  // 1 / temperature; 0: the greatest logit
  float min_p;
  float repetition, presence, frequency;
  int32_t row;
  int32_t forced;      // -1: none
  int32_t top_k;       // 0: all
  int32_t mask_at;     // one bit a token
  int32_t mask_words;  // 0: all tokens
  int32_t edits_at;    // pairs (token, times), then pairs (token, bias), then tokens
  int32_t num_seen, num_biases, num_banned;
};

struct DrawBatch {
  DrawParams rows[kDrawRows];
};

// tokens[i] and by_row[rows[i].row], from row rows[i].row of logits [R,V]; `words` have the masks
// and edits. `tokens` may be the processor's memory.
void draw_rows(Stream stream, int32_t* tokens, int32_t* by_row, const float* logits, int64_t stride,
               int64_t vocab_size, const uint32_t* words, const DrawBatch& batch, int count);

// Each id that is -1 - r becomes by_row[r].
void take_drawn(Stream stream, int32_t* ids, const int32_t* by_row, int64_t count);

}  // namespace hachi::ops::cuda
