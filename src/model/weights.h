// The weights of a decoder, under the names of the paper rather than of a file format. Matrices are
// views into the mapped checkpoint, in the type and order that they have there, until repack.h
// copies rows into panels. Copied are the norms, a few kilobytes, and packed matrices
// (packed_matrix.h), which become blocks.
#pragma once

#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "formats/checkpoint.h"
#include "kernels/context.h"
#include "kernels/memory.h"
#include "model/config.h"
#include "model/packed_matrix.h"

namespace hachi::model {

// Shapes: C width, H query heads, G key/value heads, D head width, F feed-forward width.
struct LayerWeights {
  ConstTensor attention_norm;       // [C] f32
  ops::Weight query, key, value;    // [H*D, C], [G*D, C], [G*D, C]
  ConstTensor attention_post_norm;  // [C] f32; empty without post_norms
  ConstTensor query_norm;           // [D] f32; empty without QK-norm
  ConstTensor key_norm;             // [D] f32; empty without QK-norm
  ops::Weight out;                  // [C, H*D]
  ConstTensor ffn_norm;             // [C] f32
  ConstTensor ffn_post_norm;        // [C] f32; empty without post_norms
  ops::Weight gate, up;             // [F, C]
  ops::Weight down;                 // [C, F]
};

// A matrix of the checkpoint that became blocks.
struct UnpackedMatrix {
  PackedMatrix source;
  std::byte* rows;  // in a buffer of Weights::owned
};

struct Weights {
  ops::Weight embedding;  // [V, C]
  std::vector<LayerWeights> layers;
  ConstTensor final_norm;  // [C] f32
  ops::Weight head;        // [V, C]; the embedding if the two are tied
  std::vector<UnpackedMatrix> unpacked;
  std::vector<Buffer> owned;
  std::vector<ops::Memory> placed;  // on a GPU
};

// Fused matrices come apart into views of their rows, and norms get what the file's leave out. The
// views live as long as `checkpoint`. Fails with kCorrupt, naming the tensor, if one is missing
// or has another shape than the config says.
Result<Weights> load_weights(const formats::Checkpoint& checkpoint, const ModelConfig& config);

// The same, with the same checks, but the rows of unpacked matrices are left zero: to see what a
// model is made of.
Result<Weights> find_weights(const formats::Checkpoint& checkpoint, const ModelConfig& config);

}  // namespace hachi::model
