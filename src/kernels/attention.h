#pragma once

#include "kernels/context.h"

namespace hachi::ops {

inline constexpr int64_t kMaxHeadWidth = 256;

// y[t,h] = sum over s <= positions[t] of softmax_s(score_scale * q[t,h] . key[s,g]) * value[s,g]
// over the pages of t's own sequence, with g = h / (H/G): causal, grouped-query attention.
//
//   y            [T,H*D] f32, written; must not overlap q
//   q            [T,H*D] f32; D is the cache's, a multiple of 8 up to 256; H a multiple of G
//   kv           holds positions 0..positions[t] of each token: kv_store comes first
//   score_scale  1/sqrt(D) for most
//
// Each segment of 256 positions, counted from the first of the sequence, has a softmax of its own;
// segments are merged in their order. So a token's result depends neither on how its prompt was cut
// into batches nor on how many threads share its segments; sharing them takes up to 64 MiB
// of workspace.
//
// Sources: Ainslie et al. 2023, arXiv 2305.13245; Milakov & Gimelshein 2018, arXiv 1805.02867;
// Dao et al. 2023, "Flash-Decoding for long-context inference".
void attention(Context& ctx, Tensor y, ConstTensor q, const KvLayer& kv, const BatchView& batch,
               float score_scale);

}  // namespace hachi::ops
