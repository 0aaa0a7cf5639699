#include "model/config.h"

#include <cmath>
#include <span>
#include <string_view>

#include "kernels/attention.h"
#include "kernels/kv_page.h"
#include "model/end_tokens.h"
#include "model/family.h"
#include "model/packed_matrix.h"
#include "model/rope_config.h"
#include "model/windows.h"

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::Kind;
using formats::Metadata;

// Far above any model of today, and far below where a product of two overflows.
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxContext = int64_t{1} << 30;

// Reads the sizes, each under its Hugging Face or its GGUF key.
class Sizes {
 public:
  Sizes(const Checkpoint& checkpoint, std::string_view family)
      : checkpoint_(checkpoint), prefix_(std::string(family) + ".") {}

  std::string key(std::string_view hugging_face, std::string_view gguf) const {
    return checkpoint_.kind() == Kind::kGguf ? prefix_ + std::string(gguf)
                                             : std::string(hugging_face);
  }

  Result<std::optional<int64_t>> find(std::string_view hugging_face, std::string_view gguf,
                                      int64_t max) const {
    const std::string where = key(hugging_face, gguf);
    TRY(const auto value, checkpoint_.metadata().integer(where));
    if (value && (*value < 1 || *value > max)) {
      return fail(Code::kCorrupt, "{}: {} must be between 1 and {}, and is {}",
                  checkpoint_.path().string(), where, max, *value);
    }
    return value;
  }

  Result<int64_t> get(std::string_view hugging_face, std::string_view gguf, int64_t max) const {
    TRY(const auto value, find(hugging_face, gguf, max));
    if (!value) {
      return fail(Code::kCorrupt, "{}: {} is missing", checkpoint_.path().string(),
                  key(hugging_face, gguf));
    }
    return *value;
  }

 private:
  const Checkpoint& checkpoint_;
  std::string prefix_;
};

Result<int64_t> vocab_size(const Checkpoint& checkpoint) {
  const bool gguf = checkpoint.kind() == Kind::kGguf;
  const std::string_view embedding = gguf ? "token_embd.weight" : "model.embed_tokens.weight";
  const formats::TensorEntry* tensor = checkpoint.find(embedding);
  if (tensor == nullptr) {
    return fail(Code::kCorrupt, "{}: the tensor {} is missing", checkpoint.path().string(),
                embedding);
  }
  const int64_t rows = tensor->data.size(0);
  if (rows < 1 || rows > kMaxVocab) {
    return fail(Code::kCorrupt, "{}: the tensor {} has {} rows, and must have 1 to {}",
                checkpoint.path().string(), embedding, rows, kMaxVocab);
  }
  return rows;
}

Result<void> read_sizes(const Checkpoint& checkpoint, ModelConfig& config) {
  const Sizes sizes(checkpoint, config.family);
  TRY(config.vocab_size, vocab_size(checkpoint));
  TRY(config.hidden_size, sizes.get("hidden_size", "embedding_length", kMaxWidth));
  TRY(config.num_layers, sizes.get("num_hidden_layers", "block_count", kMaxLayers));
  TRY(config.ffn_size, sizes.get("intermediate_size", "feed_forward_length", kMaxWidth));
  TRY(config.context_length, sizes.get("max_position_embeddings", "context_length", kMaxContext));
  TRY(config.num_heads, sizes.get("num_attention_heads", "attention.head_count", kMaxHeads));
  TRY(const auto kv_heads, sizes.find("num_key_value_heads", "attention.head_count_kv", kMaxHeads));
  config.num_kv_heads = kv_heads.value_or(config.num_heads);
  if (config.num_heads % config.num_kv_heads != 0) {
    return fail(Code::kCorrupt, "{}: {} query heads cannot share {} key/value heads evenly",
                checkpoint.path().string(), config.num_heads, config.num_kv_heads);
  }
  TRY(const auto head_dim, sizes.find("head_dim", "attention.key_length", ops::kMaxHeadWidth));
  if (!head_dim && config.hidden_size % config.num_heads != 0) {
    return fail(Code::kCorrupt, "{}: a width of {} does not divide into {} heads",
                checkpoint.path().string(), config.hidden_size, config.num_heads);
  }
  config.head_dim = head_dim.value_or(config.hidden_size / config.num_heads);
  if (config.head_dim % 8 != 0 || config.head_dim > ops::kMaxHeadWidth) {
    return fail(Code::kUnsupported,
                "{}: heads of width {} cannot be run (a multiple of 8 up to {} can)",
                checkpoint.path().string(), config.head_dim, ops::kMaxHeadWidth);
  }
  return {};
}

Result<void> read_norm(const Checkpoint& checkpoint, ModelConfig& config) {
  const Sizes sizes(checkpoint, config.family);
  const std::string key = sizes.key("rms_norm_eps", "attention.layer_norm_rms_epsilon");
  TRY(const auto eps, checkpoint.metadata().number(key));
  if (!eps || !(*eps > 0 && *eps < 1)) {
    return fail(Code::kCorrupt, "{}: {} must lie between 0 and 1, and {}",
                checkpoint.path().string(), key, eps ? fmt::format("is {}", *eps) : "is missing");
  }
  config.norm_eps = static_cast<float>(*eps);
  return {};
}

// Transformers takes Gemma's "gelu" of the first revisions for what their weights were trained
// with.
bool is_activation(std::string_view name, bool gelu) {
  return gelu ? name == "gelu_pytorch_tanh" || name == "gelu" : name == "silu";
}

// Switches that some files of these families turn on and the decoder does not have.
Result<void> refuse_other_switches(const Checkpoint& checkpoint, const Family& family) {
  if (checkpoint.kind() == Kind::kGguf) return {};
  const Metadata& meta = checkpoint.metadata();
  for (const std::string_view key : {"attention_bias", "mlp_bias", "use_bidirectional_attention"}) {
    TRY(const auto on, meta.boolean(key));
    if (on.value_or(false)) {
      return fail(Code::kUnsupported, "{}: {} is on, and Hachi runs models without it only",
                  checkpoint.path().string(), key);
    }
  }
  for (const std::string_view key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    TRY(const auto cap, meta.number(key));
    if (cap) {
      return fail(Code::kUnsupported, "{}: {} is set, and Hachi caps no scores",
                  checkpoint.path().string(), key);
    }
  }
  // Rotations that activations have to go through, of quantized models.
  const std::string_view transforms = "quantization_config.transform_config.config_groups.";
  const auto transform = meta.entries().lower_bound(transforms);
  if (transform != meta.entries().end() && transform->first.starts_with(transforms)) {
    return fail(Code::kUnsupported,
                "{}: transform_config is not empty, and Hachi transforms no activations",
                checkpoint.path().string());
  }
  // Gemma's newer name comes before the one that all share.
  TRY(const auto activation, meta.string("hidden_activation"));
  TRY(const auto act, meta.string("hidden_act"));
  const std::string_view name = activation.value_or(act.value_or(family.gelu ? "gelu" : "silu"));
  if (!is_activation(name, family.gelu)) {
    return fail(Code::kUnsupported,
                "{}: the activation '{}' is not one that Hachi runs in such a model",
                checkpoint.path().string(), name);
  }
  return {};
}

Result<bool> has_tied_head(const Checkpoint& checkpoint) {
  if (checkpoint.kind() == Kind::kGguf) return checkpoint.find("output.weight") == nullptr;
  // Some folders of tied models hold the embedding twice.
  TRY(const auto tied, checkpoint.metadata().boolean("tie_word_embeddings"));
  const bool has_head =
      checkpoint.find("lm_head.weight") != nullptr || is_packed(checkpoint, "lm_head");
  return tied.value_or(false) || !has_head;
}

// The largest Gemma 3 divides by the root of hidden_size / num_heads. GGUF has no key for that;
// llama.cpp knows the model by its layers.
constexpr int64_t kGemma3LargestLayers = 62;

Result<float> read_score_scale(const Checkpoint& checkpoint, const ModelConfig& config) {
  double width = static_cast<double>(config.head_dim);
  if (checkpoint.kind() == Kind::kGguf) {
    if (config.family == "gemma3" && config.num_layers == kGemma3LargestLayers) {
      width = static_cast<double>(config.hidden_size) / static_cast<double>(config.num_heads);
    }
  } else {
    TRY(const auto scalar, checkpoint.metadata().number("query_pre_attn_scalar"));
    width = scalar.value_or(width);
  }
  if (!(width > 0) || !std::isfinite(width)) {
    return fail(Code::kCorrupt, "{}: query_pre_attn_scalar must be above 0",
                checkpoint.path().string());
  }
  return static_cast<float>(1 / std::sqrt(width));
}

// What the family alone says.
void set_switches(const Family& family, bool gguf, ModelConfig& config) {
  config.family = family.gguf;
  config.qk_norm = family.qk_norm;
  config.post_norms = family.post_norms;
  config.fused = family.fused;
  config.activation = family.gelu ? Activation::kGelu : Activation::kSilu;
  config.norm_offset = family.norms_less_one && !gguf ? 1 : 0;
}

Result<void> read_sampling(const Checkpoint& checkpoint, SamplingDefaults& sampling) {
  if (checkpoint.kind() == Kind::kGguf) {
    const Metadata& meta = checkpoint.metadata();
    TRY(sampling.temperature, meta.number("general.sampling.temp"));
    TRY(sampling.top_k, meta.integer("general.sampling.top_k"));
    TRY(sampling.top_p, meta.number("general.sampling.top_p"));
    TRY(sampling.min_p, meta.number("general.sampling.min_p"));
    return {};
  }
  const Metadata& meta = checkpoint.generation();
  TRY(const auto samples, meta.boolean("do_sample"));
  if (!samples.value_or(false)) return {};
  // A file that asks for sampling and leaves these out means 1: Gemma 3's has no temperature.
  TRY(const auto temperature, meta.number("temperature"));
  TRY(const auto top_p, meta.number("top_p"));
  sampling.temperature = temperature.value_or(1);
  sampling.top_p = top_p.value_or(1);
  TRY(sampling.top_k, meta.integer("top_k"));
  TRY(sampling.min_p, meta.number("min_p"));
  TRY(sampling.repetition_penalty, meta.number("repetition_penalty"));
  return {};
}

// Hugging Face writes the sides of a block as a list; blocks are square in all models so far.
Result<int64_t> read_fp8_block(const Checkpoint& checkpoint) {
  const std::string key = "quantization_config.weight_block_size";
  const std::string compressed_tensors =
      "quantization_config.config_groups.group_0.weights.block_structure";
  const Metadata& meta = checkpoint.metadata();
  TRY(const auto sides, meta.integers(meta.find(key) != nullptr ? key : compressed_tensors));
  if (sides.empty()) return int64_t{128};
  if (sides.size() == 2 && sides[0] == sides[1] && sides[0] >= 1 && sides[0] <= kMaxWidth) {
    return sides[0];
  }
  return fail(Code::kUnsupported, "{}: the blocks of its FP8 matrices are not squares",
              checkpoint.path().string());
}

}  // namespace

int64_t ModelConfig::kv_bytes_per_token(DType dtype) const {
  const int64_t page_row = row_bytes(dtype, ops::kPagePositions);
  return 2 * num_layers * num_kv_heads * head_dim * page_row / ops::kPagePositions;
}

Result<ModelConfig> read_config(const Checkpoint& checkpoint, const ConfigOptions& options) {
  TRY(const Family* family, find_family(checkpoint));
  const bool gguf = checkpoint.kind() == Kind::kGguf;
  ModelConfig config;
  set_switches(*family, gguf, config);
  TRY(const auto name, checkpoint.metadata().string(gguf ? "general.name" : "_name_or_path"));
  config.name = name.value_or("");
  TRY(read_sizes(checkpoint, config));
  TRY(read_norm(checkpoint, config));
  TRY(refuse_other_switches(checkpoint, *family));
  TRY(config.tied_head, has_tied_head(checkpoint));
  if (family->scales_embedding) {
    config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.hidden_size)));
  }
  TRY(config.score_scale, read_score_scale(checkpoint, config));
  TRY(config.windows, read_windows(checkpoint, *family, config.num_layers));
  TRY(read_rope(checkpoint, *family, options, config));
  TRY(config.fp8_block, read_fp8_block(checkpoint));
  TRY(config.eos_ids, read_end_tokens(checkpoint, config.family, config.vocab_size));
  TRY(read_sampling(checkpoint, config.sampling));
  return config;
}

}  // namespace hachi::model
