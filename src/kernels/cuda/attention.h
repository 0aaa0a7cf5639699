// Attention over a paged cache on a GPU, with what comes before it in a layer.
#pragma once

#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

// Pointers are to multiples of 16 bytes; D is a multiple of 8 up to 256, `stride` of 8. Fast: bf16
// activations, a cache that is not f32, D of 64 or 128 (attend_one: at most 8 heads a kv head).
struct Attention {
  int64_t num_heads = 0;              // H
  int64_t num_kv_heads = 0;           // G
  int64_t head_dim = 0;               // D
  DType type = DType::kBF16;          // of q, k, v and y: kBF16 or kF32
  void* q = nullptr;                  // [T,H*D]; read, or left normed and rotated
  const void* k = nullptr;            // [T,G*D]
  const void* v = nullptr;            // [T,G*D]
  int64_t stride = 0;                 // elements from row to row of q, k and v
  const float* query_norm = nullptr;  // [D]; null: none
  const float* key_norm = nullptr;
  float eps = 0;
  const float* cos_sin = nullptr;  // [T,D]: cosines, then sines (rope.h)
  bool interleaved = false;        // RopeLayout::kInterleaved
  KvPages kv;
  DeviceBatch batch;
  float score_scale = 0;
  int64_t window = 0;  // 0: all positions
  void* y = nullptr;   // [T,H*D], dense; decode: may be null if `next` is there
  Operand next;        // decode: y as the next product takes it, if its rows are not null
  void* workspace = nullptr;
};

// Bytes of workspace for so many tokens. It is zero at first, and left so that the next call of the
// same shape can use it.
int64_t attention_workspace(int64_t max_tokens, int64_t num_heads, int64_t head_dim);

// QK-norm, RoPE, the new keys and values into the cache, and attention, for a batch in which each
// sequence has one token: token t is sequence t's. Positions are read on the GPU, so that a
// captured launch holds for any of them. A token's result depends on its own sequence alone, up to
// 16 of them; beside more, its sums may be rounded in another order.
//
// The positions, the page numbers and the older positions of the cache are read before the kernels
// just before it in the stream have ended: they must have been there when these began.
void attend_one(Stream stream, const Attention& args);

// The same for sequences with any number of tokens, without `next`. max_context is the largest
// position plus one. A token's result depends on its own sequence and position alone, not on which
// of the tokens before it came in the same call; it may differ from attend_one()'s in rounding.
void attend_many(Stream stream, const Attention& args, int64_t max_context);

// The same for sequences of which the first `singles` have one token each: those by attend_one(),
// where both have fast kernels.
void attend_mixed(Stream stream, const Attention& args, int64_t max_context, int64_t singles);

}  // namespace hachi::ops::cuda
