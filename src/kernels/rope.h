#pragma once

#include <span>

#include "kernels/context.h"

namespace hachi::ops {

// Which elements of a head turn together.
enum class RopeLayout {
  kHalves,       // (i, i + D/2), as Hugging Face writes its checkpoints
  kInterleaved,  // (2i, 2i + 1), as the paper, and GGUF files of the llama architecture
};

// cos_sin[t,i]       = magnitude * cos(positions[t] * inv_freq[i])
// cos_sin[t,D/2 + i] = magnitude * sin(positions[t] * inv_freq[i])
//
//   cos_sin    [T,D] f32, written
//   positions  [T]
//   inv_freq   [D/2], with the checkpoint's scaling folded in
//   magnitude  YaRN's attention factor; 1 without scaling
//
// The angle is rounded to f32, as the models were trained; its cosine and sine are not rounded
// before they are multiplied. Once a forward pass, for all layers.
void rope_angles(Context& ctx, Tensor cos_sin, std::span<const int32_t> positions,
                 std::span<const float> inv_freq, float magnitude);

// Turns each pair (a, b) of each head by its angle: (a cos - b sin, b cos + a sin).
//
//   x        [T,N*D] f32, read and written; N heads side by side
//   cos_sin  [T,D]   f32, from rope_angles
//
// Source: Su et al. 2021, arXiv 2104.09864, equation 34.
void rope(Context& ctx, Tensor x, ConstTensor cos_sin, RopeLayout layout);

}  // namespace hachi::ops
