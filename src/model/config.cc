#include "model/config.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>

#include "kernels/attention.h"
#include "kernels/kv_page.h"
#include "model/rope_config.h"

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::Kind;
using formats::Metadata;

struct Family {
  std::string_view gguf;          // general.architecture
  std::string_view hugging_face;  // architectures[0]
  bool qk_norm;
  ops::RopeLayout gguf_layout;  // llama.cpp's converter reorders the rows of Llama's q and k
};

constexpr Family kFamilies[] = {
    {"qwen3", "Qwen3ForCausalLM", true, ops::RopeLayout::kHalves},
    {"llama", "LlamaForCausalLM", false, ops::RopeLayout::kInterleaved},
    {"llama", "MistralForCausalLM", false, ops::RopeLayout::kInterleaved},
};

// Far above any model of today, and far below where a product of two overflows.
constexpr int64_t kMaxLayers = 1024;
constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxVocab = 1 << 24;
constexpr int64_t kMaxContext = int64_t{1} << 30;

Result<const Family*> find_family(const Checkpoint& checkpoint) {
  const bool gguf = checkpoint.kind() == Kind::kGguf;
  std::string_view wanted;
  if (gguf) {
    TRY(const auto name, checkpoint.metadata().string("general.architecture"));
    wanted = name.value_or("");
  } else if (const auto* names = checkpoint.metadata().strings("architectures");
             names != nullptr && !names->empty()) {
    wanted = names->front();
  }
  for (const Family& family : kFamilies) {
    if (wanted == (gguf ? family.gguf : family.hugging_face)) return &family;
  }
  return fail(Code::kUnsupported,
              "{}: the architecture '{}' is not one that Hachi runs (it runs Qwen3, Llama and "
              "Mistral models)",
              checkpoint.path().string(), wanted);
}

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

// Switches that some files of these families turn on and the decoder does not have.
Result<void> refuse_other_switches(const Checkpoint& checkpoint) {
  if (checkpoint.kind() == Kind::kGguf) return {};
  const Metadata& meta = checkpoint.metadata();
  for (const std::string_view key : {"attention_bias", "mlp_bias"}) {
    TRY(const auto on, meta.boolean(key));
    if (on.value_or(false)) {
      return fail(Code::kUnsupported, "{}: {} is on, and Hachi runs models without biases only",
                  checkpoint.path().string(), key);
    }
  }
  TRY(const auto activation, meta.string("hidden_act"));
  if (activation.value_or("silu") != "silu") {
    return fail(Code::kUnsupported, "{}: the activation '{}' is not one that Hachi runs (silu is)",
                checkpoint.path().string(), *activation);
  }
  TRY(const auto use_window, meta.boolean("use_sliding_window"));
  TRY(const auto window, meta.integer("sliding_window"));
  TRY(const auto context, meta.integer("max_position_embeddings"));
  if (use_window.value_or(true) && window && *window < context.value_or(*window)) {
    return fail(Code::kUnsupported, "{}: attention within a sliding window of {} is not supported",
                checkpoint.path().string(), *window);
  }
  return {};
}

Result<void> read_stops(const Checkpoint& checkpoint, ModelConfig& config) {
  const bool gguf = checkpoint.kind() == Kind::kGguf;
  std::vector<int64_t> ids;
  if (gguf) {
    for (const std::string_view key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"}) {
      TRY(const auto more, checkpoint.metadata().integers(key));
      ids.insert(ids.end(), more.begin(), more.end());
    }
  } else {
    TRY(ids, checkpoint.generation().integers("eos_token_id"));
    if (ids.empty()) {
      TRY(ids, checkpoint.metadata().integers("eos_token_id"));
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const int64_t id : ids) {
    if (id < 0 || id >= config.vocab_size) {
      return fail(Code::kCorrupt, "{}: the end-of-text token {} is not among the {} tokens",
                  checkpoint.path().string(), id, config.vocab_size);
    }
    config.eos_ids.push_back(static_cast<int32_t>(id));
  }
  return {};
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
  TRY(sampling.temperature, meta.number("temperature"));
  TRY(sampling.top_k, meta.integer("top_k"));
  TRY(sampling.top_p, meta.number("top_p"));
  TRY(sampling.min_p, meta.number("min_p"));
  TRY(sampling.repetition_penalty, meta.number("repetition_penalty"));
  return {};
}

// Hugging Face writes the sides of a block as a list; blocks are square in all models so far.
Result<int64_t> read_fp8_block(const Checkpoint& checkpoint) {
  TRY(const auto sides, checkpoint.metadata().integers("quantization_config.weight_block_size"));
  if (sides.empty()) return int64_t{128};
  if (sides.size() == 2 && sides[0] == sides[1] && sides[0] >= 1 && sides[0] <= kMaxWidth) {
    return sides[0];
  }
  return fail(Code::kUnsupported, "{}: quantization_config.weight_block_size is not a square",
              checkpoint.path().string());
}

}  // namespace

int64_t ModelConfig::kv_bytes_per_token(DType dtype) const {
  const int64_t page_row = row_bytes(dtype, ops::kPagePositions);
  return 2 * num_layers * num_kv_heads * head_dim * page_row / ops::kPagePositions;
}

float ModelConfig::score_scale() const {
  return static_cast<float>(1 / std::sqrt(static_cast<double>(head_dim)));
}

Result<ModelConfig> read_config(const Checkpoint& checkpoint, const ConfigOptions& options) {
  TRY(const Family* family, find_family(checkpoint));
  const bool gguf = checkpoint.kind() == Kind::kGguf;
  ModelConfig config;
  config.family = family->gguf;
  config.qk_norm = family->qk_norm;
  TRY(const auto name, checkpoint.metadata().string(gguf ? "general.name" : "_name_or_path"));
  config.name = name.value_or("");
  TRY(read_sizes(checkpoint, config));
  TRY(read_norm(checkpoint, config));
  TRY(refuse_other_switches(checkpoint));
  config.tied_head = checkpoint.find(gguf ? "output.weight" : "lm_head.weight") == nullptr;
  TRY(config.rope,
      read_rope_config(checkpoint, config.family, config.head_dim, options.yarn_magnitude));
  config.rope.layout = gguf ? family->gguf_layout : ops::RopeLayout::kHalves;
  TRY(config.fp8_block, read_fp8_block(checkpoint));
  TRY(read_stops(checkpoint, config));
  TRY(read_sampling(checkpoint, config.sampling));
  return config;
}

}  // namespace hachi::model
