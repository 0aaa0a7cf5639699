#include "quantize/gguf_from_hf.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "model/config.h"
#include "model/weights.h"
#include "quantize/tokenizer_pairs.h"

namespace hachi::quantize {
namespace {

using formats::Checkpoint;
using model::ModelConfig;

// Chooses the list of rotations for long contexts, where there are two.
constexpr int64_t kLongestContext = std::numeric_limits<int64_t>::max();

class Converter {
 public:
  Converter(const Checkpoint& checkpoint, const ModelConfig& config)
      : checkpoint_(checkpoint), config_(config) {}

  Result<Source> convert();

 private:
  std::string key(std::string_view name) const { return config_.family + "." + std::string(name); }
  void set_u32(std::string_view name, int64_t value) {
    source_.pairs.set(key(name), static_cast<uint32_t>(value));
  }

  void set_sizes();
  Result<void> set_windows();
  Result<void> set_rope();
  Result<void> add_longrope();
  Result<void> add_llama3_divisors();
  void set_sampling();

  Result<void> add_floats(const std::string& name, std::span<const float> values);
  void add_vector(const std::string& name, ConstTensor values);
  void add_matrix(const std::string& name, const ops::Weight& weight, int64_t heads = 0);
  void add_fused(const std::string& name, std::initializer_list<ConstTensor> parts);
  void add_layer(size_t index, const model::LayerWeights& layer);
  void add_tensors(const model::Weights& weights);

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  Source source_;
};

std::string model_name(const Checkpoint& checkpoint, const ModelConfig& config) {
  if (!config.name.empty()) return std::filesystem::path(config.name).filename().string();
  return std::filesystem::weakly_canonical(checkpoint.path()).filename().string();
}

void Converter::set_sizes() {
  set_u32("block_count", config_.num_layers);
  set_u32("context_length", config_.context_length);
  set_u32("embedding_length", config_.hidden_size);
  set_u32("feed_forward_length", config_.ffn_size);
  set_u32("attention.head_count", config_.num_heads);
  set_u32("attention.head_count_kv", config_.num_kv_heads);
  set_u32("attention.key_length", config_.head_dim);
  set_u32("attention.value_length", config_.head_dim);
  set_u32("vocab_size", config_.vocab_size);
  source_.pairs.set(key("attention.layer_norm_rms_epsilon"), config_.norm_eps);
}

// GGUF has no keys for which of Gemma 3's layers look back how far but a list, which readers need
// only where it is not five of six; and none for the scale of scores.
Result<void> Converter::set_windows() {
  const std::vector<int64_t>& windows = config_.windows;
  const int64_t window = *std::max_element(windows.begin(), windows.end());
  if (window > 0 || config_.family == "phi3") set_u32("attention.sliding_window", window);
  std::vector<int32_t> local;
  bool five_of_six = config_.family == "gemma3";
  for (size_t i = 0; i < windows.size(); ++i) {
    local.push_back(windows[i] > 0 ? 1 : 0);
    five_of_six = five_of_six && (windows[i] > 0) == ((i + 1) % 6 != 0);
  }
  const bool mixed = std::find(local.begin(), local.end(), 0) != local.end();
  if (window > 0 && mixed && !five_of_six) {
    source_.pairs.set_list(key("attention.sliding_window_pattern"), local);
  }
  const auto usual = static_cast<float>(1 / std::sqrt(static_cast<double>(config_.head_dim)));
  if (std::abs(config_.score_scale - usual) <= 1e-6f * usual) return {};
  return fail(Code::kUnsupported,
              "{}: it scales scores in a way of its own, for which GGUF has no key; the model can "
              "be used as it is, but not converted",
              checkpoint_.path().string());
}

// Both of Phi-3's lists; the config has the one for its context.
Result<void> Converter::add_longrope() {
  set_u32("rope.scaling.original_context_length", config_.rope.original_context);
  source_.pairs.set(key("rope.scaling.attn_factor"), config_.rope.magnitude);
  for (const bool is_long : {true, false}) {
    TRY(const ModelConfig config,
        model::read_config(checkpoint_, {.context = is_long ? kLongestContext : 1}));
    const std::vector<float>& list = config.rope.divisors;
    TRY(add_floats(is_long ? "rope_factors_long.weight" : "rope_factors_short.weight", list));
  }
  return {};
}

Result<void> Converter::set_rope() {
  const model::RopeConfig& rope = config_.rope;
  if (config_.local_rope) {
    source_.pairs.set(key("rope.freq_base_swa"), static_cast<float>(config_.local_rope->theta));
  }
  set_u32("rope.dimension_count", config_.head_dim);
  source_.pairs.set(key("rope.freq_base"), static_cast<float>(rope.theta));
  switch (rope.scaling) {
    case model::RopeScaling::kNone:
      return {};
    case model::RopeScaling::kLlama3:
      return add_llama3_divisors();
    case model::RopeScaling::kLinear:
      source_.pairs.set(key("rope.scaling.type"), "linear");
      source_.pairs.set(key("rope.scaling.factor"), static_cast<float>(rope.factor));
      return {};
    case model::RopeScaling::kLongRope:
      return add_longrope();
    case model::RopeScaling::kYarn:
      break;
  }
  if (!rope.truncate || rope.beta_fast != 32 || rope.beta_slow != 1) {
    return fail(Code::kUnsupported,
                "{}: its YaRN ramp has borders of its own (beta_fast {}, beta_slow {}, truncate "
                "{}), which GGUF readers do not agree on",
                checkpoint_.path().string(), rope.beta_fast, rope.beta_slow, rope.truncate);
  }
  source_.pairs.set(key("rope.scaling.type"), "yarn");
  source_.pairs.set(key("rope.scaling.factor"), static_cast<float>(rope.factor));
  set_u32("rope.scaling.original_context_length", rope.original_context);
  // Readers multiply the key with YaRN's own growth, 1 + 0.1 ln factor.
  const double own = model::yarn_magnitude(rope.factor);
  const auto attn_factor = static_cast<float>(static_cast<double>(rope.magnitude) / own);
  if (std::abs(attn_factor - 1) > 1e-6f) {
    source_.pairs.set(key("rope.scaling.attn_factor"), attn_factor);
  }
  return {};
}

// GGUF has no keys for Llama 3.1's scaling: it is written out, one divisor a pair.
Result<void> Converter::add_llama3_divisors() {
  model::RopeConfig plain = config_.rope;
  plain.scaling = model::RopeScaling::kNone;
  const std::vector<float> before = model::inverse_frequencies(plain, config_.head_dim);
  const std::vector<float> after = model::inverse_frequencies(config_.rope, config_.head_dim);
  std::vector<float> divisors;
  for (size_t i = 0; i < before.size(); ++i) divisors.push_back(before[i] / after[i]);
  return add_floats("rope_freqs.weight", divisors);
}

Result<void> Converter::add_floats(const std::string& name, std::span<const float> values) {
  TRY(Buffer memory, Buffer::allocate(values.size_bytes()));
  std::memcpy(memory.data(), values.data(), values.size_bytes());
  add_vector(name, Tensor(memory.data(), DType::kF32, {static_cast<int64_t>(values.size())}));
  source_.owned.push_back(std::move(memory));
  return {};
}

void Converter::set_sampling() {
  const model::SamplingDefaults& sampling = config_.sampling;
  const auto set = [&](std::string_view name, const std::optional<double>& value) {
    const std::string full = "general.sampling." + std::string(name);
    if (value) source_.pairs.set(full, static_cast<float>(*value));
  };
  set("temp", sampling.temperature);
  set("top_p", sampling.top_p);
  set("min_p", sampling.min_p);
  set("penalty_repeat", sampling.repetition_penalty);
  if (sampling.top_k) {
    source_.pairs.set("general.sampling.top_k", static_cast<int32_t>(*sampling.top_k));
  }
}

void Converter::add_vector(const std::string& name, ConstTensor values) {
  SourceTensor tensor;
  tensor.name = name;
  tensor.sizes = {values.size(0)};
  tensor.weight.values = ConstTensor(values.data(), values.dtype(), {1, values.size(0)});
  source_.tensors.push_back(std::move(tensor));
}

void Converter::add_matrix(const std::string& name, const ops::Weight& weight, int64_t heads) {
  SourceTensor tensor;
  tensor.name = name;
  tensor.sizes = {weight.values.size(0), weight.values.size(1)};
  tensor.weight = weight;
  tensor.interleaved_heads = config_.family == "llama" ? heads : 0;
  source_.tensors.push_back(std::move(tensor));
}

// A matrix that the model has in parts, one under the other in memory as they were in the file.
void Converter::add_fused(const std::string& name, std::initializer_list<ConstTensor> parts) {
  const ConstTensor& first = *parts.begin();
  int64_t rows = 0;
  for (const ConstTensor& part : parts) rows += part.size(0);
  add_matrix(name, {.values = ConstTensor(first.data(), first.dtype(), {rows, first.size(1)})});
}

void Converter::add_layer(size_t index, const model::LayerWeights& layer) {
  const std::string prefix = fmt::format("blk.{}.", index);
  add_vector(prefix + "attn_norm.weight", layer.attention_norm);
  if (config_.fused) {
    add_fused(prefix + "attn_qkv.weight",
              {layer.query.values, layer.key.values, layer.value.values});
  } else {
    add_matrix(prefix + "attn_q.weight", layer.query, config_.num_heads);
    add_matrix(prefix + "attn_k.weight", layer.key, config_.num_kv_heads);
    add_matrix(prefix + "attn_v.weight", layer.value);
  }
  if (config_.qk_norm) {
    add_vector(prefix + "attn_q_norm.weight", layer.query_norm);
    add_vector(prefix + "attn_k_norm.weight", layer.key_norm);
  }
  add_matrix(prefix + "attn_output.weight", layer.out);
  add_vector(prefix + "ffn_norm.weight", layer.ffn_norm);
  if (config_.post_norms) {
    add_vector(prefix + "post_attention_norm.weight", layer.attention_post_norm);
    add_vector(prefix + "post_ffw_norm.weight", layer.ffn_post_norm);
  }
  if (config_.fused) {
    add_fused(prefix + "ffn_up.weight", {layer.gate.values, layer.up.values});
  } else {
    add_matrix(prefix + "ffn_gate.weight", layer.gate);
    add_matrix(prefix + "ffn_up.weight", layer.up);
  }
  add_matrix(prefix + "ffn_down.weight", layer.down);
}

void Converter::add_tensors(const model::Weights& weights) {
  add_matrix("token_embd.weight", weights.embedding);
  add_vector("output_norm.weight", weights.final_norm);
  if (!config_.tied_head) add_matrix("output.weight", weights.head);
  for (size_t i = 0; i < weights.layers.size(); ++i) add_layer(i, weights.layers[i]);
}

Result<Source> Converter::convert() {
  source_.pairs.set("general.architecture", config_.family);
  source_.pairs.set("general.type", "model");
  source_.pairs.set("general.name", model_name(checkpoint_, config_));
  set_sizes();
  TRY(set_windows());
  TRY(set_rope());
  set_sampling();
  TRY(add_tokenizer_pairs(checkpoint_, config_, source_.pairs));
  TRY(model::Weights weights, model::load_weights(checkpoint_, config_));
  add_tensors(weights);
  for (Buffer& buffer : weights.owned) source_.owned.push_back(std::move(buffer));
  source_.model.num_layers = config_.num_layers;
  source_.model.heads_per_kv = config_.num_heads / config_.num_kv_heads;
  source_.model.tied_head = config_.tied_head;
  source_.model.has_70b_values =
      config_.family == "llama" && config_.num_layers == 80 && source_.model.heads_per_kv > 1;
  return std::move(source_);
}

}  // namespace

Result<Source> source_from_hf(std::shared_ptr<const Checkpoint> checkpoint) {
  TRY(const ModelConfig config, model::read_config(*checkpoint, {.context = kLongestContext}));
  TRY(Source source, Converter(*checkpoint, config).convert());
  source.checkpoint = std::move(checkpoint);
  return source;
}

}  // namespace hachi::quantize
