#pragma once

#include "kernels/context.h"

namespace hachi::ops {

inline constexpr int64_t kMaxHeadWidth = 256;

// y[t,h] = sum over s of softmax_s(score_scale * q[t,h] . key[s,g]) * value[s,g]
// over the positions s of t's own sequence with positions[t] - window < s <= positions[t], and with
// g = h / (H/G): causal, grouped-query attention, within a sliding window if there is one.
//
//   y            [T,H*D] f32, written; must not overlap q
//   q            [T,H*D] f32; D is the cache's, a multiple of 8 up to 256; H a multiple of G
//   kv           holds the positions that each token sees: kv_store comes first
//   score_scale  1/sqrt(D) for most
//   window       positions that a token sees, its own among them; 0: all
//
// Pages of the cache that no token of the batch sees are not read; in the others, nothing that a
// token does not see reaches its result. Pages that have left all windows may stay allocated: who
// holds them is not for this op to know.
//
// Each segment of 256 positions, counted from the first of the sequence, has a softmax of its own;
// segments are merged in their order. So a token's result depends neither on how its prompt was cut
// into batches nor on how many threads share its segments; sharing them takes up to 64 MiB
// of workspace.
//
// Sources: Ainslie et al. 2023, arXiv 2305.13245; Beltagy et al. 2020, arXiv 2004.05150 (windows);
// Milakov & Gimelshein 2018, arXiv 1805.02867; Dao et al. 2023, "Flash-Decoding for long-context
// inference".
void attention(Context& ctx, Tensor y, ConstTensor q, const KvLayer& kv, const BatchView& batch,
               float score_scale, int64_t window);

}  // namespace hachi::ops
