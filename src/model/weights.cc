#include "model/weights.h"

#include <initializer_list>
#include <string>

#include "core/files.h"
#include "core/processors.h"
#include "kernels/dequantize.h"
#include "kernels/panels.h"

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::Kind;
using formats::TensorEntry;

// What a tensor is called in each format; "{}" is the layer.
struct TensorName {
  std::string_view hugging_face;
  std::string_view gguf;
};

static_assert(ops::kPanelRows == formats::kPanelRows);

constexpr TensorName kEmbedding = {"model.embed_tokens", "token_embd"};
constexpr TensorName kFinalNorm = {"model.norm", "output_norm"};
constexpr TensorName kHead = {"lm_head", "output"};
constexpr TensorName kAttentionNorm = {"model.layers.{}.input_layernorm", "blk.{}.attn_norm"};
constexpr TensorName kQuery = {"model.layers.{}.self_attn.q_proj", "blk.{}.attn_q"};
constexpr TensorName kKey = {"model.layers.{}.self_attn.k_proj", "blk.{}.attn_k"};
constexpr TensorName kValue = {"model.layers.{}.self_attn.v_proj", "blk.{}.attn_v"};
constexpr TensorName kQueryNorm = {"model.layers.{}.self_attn.q_norm", "blk.{}.attn_q_norm"};
constexpr TensorName kKeyNorm = {"model.layers.{}.self_attn.k_norm", "blk.{}.attn_k_norm"};
constexpr TensorName kOut = {"model.layers.{}.self_attn.o_proj", "blk.{}.attn_output"};
constexpr TensorName kFfnNorm = {"model.layers.{}.post_attention_layernorm", "blk.{}.ffn_norm"};
// Gemma 3 has a norm before and after each block; Hugging Face calls the one after attention by the
// name that the one before the feed-forward has elsewhere.
constexpr TensorName kAttentionPostNorm = {"model.layers.{}.post_attention_layernorm",
                                           "blk.{}.post_attention_norm"};
constexpr TensorName kFfnPreNorm = {"model.layers.{}.pre_feedforward_layernorm", "blk.{}.ffn_norm"};
constexpr TensorName kFfnPostNorm = {"model.layers.{}.post_feedforward_layernorm",
                                     "blk.{}.post_ffw_norm"};
// Phi-3: query over key over value, gate over up.
constexpr TensorName kQueryKeyValue = {"model.layers.{}.self_attn.qkv_proj", "blk.{}.attn_qkv"};
constexpr TensorName kGateUp = {"model.layers.{}.mlp.gate_up_proj", "blk.{}.ffn_up"};
constexpr TensorName kGate = {"model.layers.{}.mlp.gate_proj", "blk.{}.ffn_gate"};
constexpr TensorName kUp = {"model.layers.{}.mlp.up_proj", "blk.{}.ffn_up"};
constexpr TensorName kDown = {"model.layers.{}.mlp.down_proj", "blk.{}.ffn_down"};

std::string shape_text(const ConstTensor& tensor) {
  std::string text = "[";
  for (int i = 0; i < tensor.rank(); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", tensor.size(i));
  }
  return text + "]";
}

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, const ModelConfig& config, Weights& weights)
      : checkpoint_(checkpoint), config_(config), weights_(weights) {}

  Result<void> load() {
    const int64_t width = config_.hidden_size;
    TRY(weights_.embedding, matrix(kEmbedding, config_.vocab_size, width));
    TRY(weights_.final_norm, norm(kFinalNorm, width));
    weights_.head = weights_.embedding;
    if (!config_.tied_head) {
      TRY(weights_.head, matrix(kHead, config_.vocab_size, width));
    }
    for (layer_ = 0; layer_ < config_.num_layers; ++layer_) {
      TRY(LayerWeights layer, load_layer());
      weights_.layers.push_back(layer);
    }
    return {};
  }

 private:
  Result<LayerWeights> load_layer() {
    const int64_t width = config_.hidden_size;
    const int64_t heads = config_.num_heads * config_.head_dim;
    const int64_t kv_heads = config_.num_kv_heads * config_.head_dim;
    LayerWeights layer;
    TRY(layer.attention_norm, norm(kAttentionNorm, width));
    if (config_.fused) {
      TRY(split(kQueryKeyValue, width,
                {{&layer.query, heads}, {&layer.key, kv_heads}, {&layer.value, kv_heads}}));
    } else {
      TRY(layer.query, matrix(kQuery, heads, width));
      TRY(layer.key, matrix(kKey, kv_heads, width));
      TRY(layer.value, matrix(kValue, kv_heads, width));
    }
    if (config_.qk_norm) {
      TRY(layer.query_norm, norm(kQueryNorm, config_.head_dim));
      TRY(layer.key_norm, norm(kKeyNorm, config_.head_dim));
    }
    TRY(layer.out, matrix(kOut, width, heads));
    TRY(layer.ffn_norm, norm(config_.post_norms ? kFfnPreNorm : kFfnNorm, width));
    if (config_.post_norms) {
      TRY(layer.attention_post_norm, norm(kAttentionPostNorm, width));
      TRY(layer.ffn_post_norm, norm(kFfnPostNorm, width));
    }
    if (config_.fused) {
      TRY(split(kGateUp, width, {{&layer.gate, config_.ffn_size}, {&layer.up, config_.ffn_size}}));
    } else {
      TRY(layer.gate, matrix(kGate, config_.ffn_size, width));
      TRY(layer.up, matrix(kUp, config_.ffn_size, width));
    }
    TRY(layer.down, matrix(kDown, width, config_.ffn_size));
    return layer;
  }

  std::string full_name(const TensorName& name, std::string_view suffix = ".weight") const {
    const bool gguf = checkpoint_.kind() == Kind::kGguf;
    std::string text(gguf ? name.gguf : name.hugging_face);
    if (const size_t at = text.find("{}"); at != std::string::npos) {
      text.replace(at, 2, std::to_string(layer_));
    }
    return text + std::string(suffix);
  }

  Result<TensorEntry> tensor(const TensorName& name) {
    const std::string full = full_name(name);
    const TensorEntry* entry = checkpoint_.find(full);
    if (entry == nullptr) {
      return fail(Code::kCorrupt, "{}: the tensor {} is missing", checkpoint_.path().string(),
                  full);
    }
    return *entry;
  }

  Result<ops::Weight> matrix(const TensorName& name, int64_t rows, int64_t columns) {
    if (checkpoint_.kind() == Kind::kHuggingFace && checkpoint_.find(full_name(name)) == nullptr) {
      TRY(const auto packed, find_packed(checkpoint_, full_name(name, ""), rows, columns));
      if (packed) return room_for(*packed);
    }
    TRY(const TensorEntry entry, tensor(name));
    const ConstTensor& values = entry.data;
    if (values.rank() != 2 || values.size(0) != rows || values.size(1) != columns) {
      return wrong_shape(name, values, fmt::format("[{}, {}]", rows, columns));
    }
    if (values.dtype() == DType::kI32) {
      return fail(Code::kUnsupported, "{}: {} holds whole numbers, and must hold weights",
                  checkpoint_.path().string(), full_name(name));
    }
    if (entry.panels != nullptr && !ops::has_panels(values.dtype(), columns)) {
      return fail(Code::kCorrupt, "{}: {} lies in panels, which {} with {} columns has not",
                  checkpoint_.path().string(), full_name(name), core::name(values.dtype()),
                  columns);
    }
    ops::Weight weight;
    weight.values = values;
    weight.panels = entry.panels;
    if (values.dtype() == DType::kF8E4M3) {
      TRY(find_scales(name, weight));
    }
    return weight;
  }

  // The rows that the matrix will have. The checkpoint holds as many words, so their bytes are few
  // enough to count.
  Result<ops::Weight> room_for(const PackedMatrix& packed) {
    const int64_t bytes = packed.rows * row_bytes(packed.type, packed.columns);
    TRY(Buffer rows, Buffer::allocate(static_cast<uint64_t>(bytes)));
    ops::Weight weight;
    weight.values = ConstTensor(rows.data(), packed.type, {packed.rows, packed.columns});
    weights_.unpacked.push_back({packed, rows.data()});
    weights_.owned.push_back(std::move(rows));
    return weight;
  }

  // Rows of a fused matrix that are a matrix of their own.
  struct Part {
    ops::Weight* weight;
    int64_t rows;
  };

  // The parts lie one under the other.
  Result<void> split(const TensorName& name, int64_t columns, std::initializer_list<Part> parts) {
    int64_t rows = 0;
    for (const Part& part : parts) rows += part.rows;
    TRY(const ops::Weight whole, matrix(name, rows, columns));
    if (whole.scales) {
      return fail(Code::kUnsupported, "{}: {} is an FP8 matrix of several, which cannot be split",
                  checkpoint_.path().string(), full_name(name));
    }
    int64_t first = 0;
    for (const Part& part : parts) {
      const DType type = whole.values.dtype();
      if (whole.panels == nullptr) {
        part.weight->values = whole.values.rows(first, part.rows);
      } else if (first % ops::kPanelRows == 0) {
        part.weight->values = ConstTensor(nullptr, type, {part.rows, columns});
        part.weight->panels = whole.panels + ops::panels_bytes(type, first, columns);
      } else {
        return fail(Code::kUnsupported, "{}: the panels of {} cannot be split at row {}",
                    checkpoint_.path().string(), full_name(name), first);
      }
      first += part.rows;
    }
    return {};
  }

  // FP8 matrices have their scales in a tensor of their own, for a block of fp8_block x fp8_block,
  // a row or the whole: "weight_scale_inv" (DeepSeek and Qwen3) or "weight_scale"
  // (compressed-tensors).
  Result<void> find_scales(const TensorName& name, ops::Weight& weight) {
    const int64_t rows = weight.values.size(0);
    const int64_t columns = weight.values.size(1);
    const TensorEntry* blocks = checkpoint_.find(full_name(name, ".weight_scale_inv"));
    const TensorEntry* whole = checkpoint_.find(full_name(name, ".weight_scale"));
    const TensorEntry* found = blocks != nullptr ? blocks : whole;
    if (found == nullptr) {
      return fail(Code::kCorrupt, "{}: the scales of the FP8 matrix {} are missing",
                  checkpoint_.path().string(), full_name(name));
    }
    weight.scales = found->data;
    const ConstTensor& scales = weight.scales;
    const int64_t block = config_.fp8_block;
    const int64_t scale_rows = scales.rank() == 2 ? scales.size(0) : 1;
    const int64_t scale_columns = scales.size(scales.rank() - 1);
    if (scale_rows == 1 && scale_columns == 1) {
      weight.block_rows = static_cast<int>(rows);
      weight.block_cols = static_cast<int>(columns);
    } else if (scale_rows == rows && scale_columns == 1) {
      weight.block_rows = 1;
      weight.block_cols = static_cast<int>(columns);
    } else if (scale_rows == (rows + block - 1) / block &&
               scale_columns == (columns + block - 1) / block) {
      weight.block_rows = weight.block_cols = static_cast<int>(block);
    } else {
      return wrong_shape(name, scales, fmt::format("one scale a {} x {} block", block, block));
    }
    const DType type = scales.dtype();
    if (type != DType::kF32 && type != DType::kF16 && type != DType::kBF16) {
      return fail(Code::kUnsupported, "{}: scales of the type {} are not supported",
                  checkpoint_.path().string(), core::name(type));
    }
    if (scales.rank() == 1 && scale_columns == 1) return {};
    weight.scales = ConstTensor(scales.data(), type, {scale_rows, scale_columns});
    return {};
  }

  Result<ConstTensor> norm(const TensorName& name, int64_t width) {
    TRY(const TensorEntry entry, tensor(name));
    const ConstTensor& values = entry.data;
    if (values.rank() != 1 || values.size(0) != width) {
      return wrong_shape(name, values, fmt::format("[{}]", width));
    }
    const DType type = values.dtype();
    if (type != DType::kF32 && type != DType::kF16 && type != DType::kBF16) {
      return fail(Code::kUnsupported, "{}: {} has the type {}, and must be F32, F16 or BF16",
                  checkpoint_.path().string(), full_name(name), core::name(type));
    }
    TRY(Buffer floats, Buffer::allocate(static_cast<uint64_t>(width) * sizeof(float)));
    const Tensor row(floats.data(), DType::kF32, {1, width});
    ops::Context plain{.device = ops::Device::kRef};
    ops::dequantize(plain, row, {.values = ConstTensor(values.data(), type, {1, width})}, 0);
    weights_.owned.push_back(std::move(floats));
    for (int64_t i = 0; i < width; ++i) row.as<float>()[i] += config_.norm_offset;
    return ConstTensor(row.data(), DType::kF32, {width});
  }

  tl::unexpected<Error> wrong_shape(const TensorName& name, const ConstTensor& found,
                                    std::string_view expected) const {
    return fail(Code::kCorrupt, "{}: {} has the shape {}, and the model's numbers ask for {}",
                checkpoint_.path().string(), full_name(name), shape_text(found), expected);
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  Weights& weights_;
  int64_t layer_ = 0;
};

}  // namespace

Result<Weights> find_weights(const Checkpoint& checkpoint, const ModelConfig& config) {
  Weights weights;
  TRY(Loader(checkpoint, config, weights).load());
  return weights;
}

Result<Weights> load_weights(const Checkpoint& checkpoint, const ModelConfig& config) {
  TRY(Weights weights, find_weights(checkpoint, config));
  if (weights.unpacked.empty()) return weights;
  ThreadPool pool(usable_cpus());
  for (const UnpackedMatrix& matrix : weights.unpacked) {
    unpack(matrix.source, pool, matrix.rows);
    const ConstTensor& words = matrix.source.words;
    release_pages({words.data(), static_cast<size_t>(words.size(0) * words.stride_bytes(0))});
  }
  return weights;
}

}  // namespace hachi::model
