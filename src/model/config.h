// ModelConfig: every number and switch of a decoder, read from a checkpoint's metadata. One decoder
// (layer.cc) runs all families; a new one is an entry in the table of family.cc and, where its
// tensors are called differently, in weights.cc. docs/models.md says what differs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "formats/checkpoint.h"
#include "model/rope_frequencies.h"

namespace hachi::model {

// How a checkpoint's author wants it sampled; nothing where the files do not say.
struct SamplingDefaults {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<int64_t> top_k;
  std::optional<double> repetition_penalty;
};

enum class Activation { kSilu, kGelu };

struct ModelConfig {
  std::string family;  // as GGUF's general.architecture: "qwen3", "llama"
  std::string name;    // what the file calls the model, for people; may be empty
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;     // query heads
  int64_t num_kv_heads = 0;  // divides num_heads
  int64_t head_dim = 0;      // its own number: not always hidden_size / num_heads
  int64_t ffn_size = 0;
  int64_t context_length = 0;  // positions that the model was made for
  float norm_eps = 0;
  float norm_offset = 0;    // what the file's norms leave out: 1 in Gemma's folders; added at load
  bool qk_norm = false;     // RMSNorm over each query and key head, before RoPE
  bool post_norms = false;  // RMSNorm over what a block adds to the residual stream
  bool fused = false;       // in the file; each part is a matrix of its own from the load on
  bool tied_head = false;   // the embedding is the output matrix
  Activation activation = Activation::kSilu;
  float embedding_scale = 1;     // multiplies the embeddings
  float score_scale = 0;         // of q.k before the softmax: 1 / sqrt(head_dim) for most
  std::vector<int64_t> windows;  // [num_layers], positions that a token sees, its own among them;
                                 // 0: all
  RopeConfig rope;
  std::optional<RopeConfig> local_rope;  // of layers with a window, if those have their own
  int64_t fp8_block = 128;  // rows and columns that share one scale, in block-scaled FP8 matrices

  std::vector<int32_t> eos_ids;  // each ends an answer
  SamplingDefaults sampling;

  // Bytes of keys and values that one token takes in all layers.
  int64_t kv_bytes_per_token(DType dtype) const;
};

struct ConfigOptions {
  YarnMagnitude yarn_magnitude = YarnMagnitude::kAuthor;
  // Positions that the engine will have room for; 0: as many as the model was made for. Phi-3's
  // rotations depend on it: one choice for all requests, so that keys in the cache stay right.
  int64_t context = 0;
};

// Every number is checked against what the decoder can run and against each other. Fails with
// kUnsupported for an architecture or a switch that it cannot, kCorrupt for a number that is wrong.
Result<ModelConfig> read_config(const formats::Checkpoint& checkpoint,
                                const ConfigOptions& options);

}  // namespace hachi::model
