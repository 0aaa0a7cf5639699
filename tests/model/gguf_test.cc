// What only GGUF files have: rows of q and k in another order, Llama 3.1's positions as a tensor,
// and YaRN without DeepSeek's key.
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "formats/gguf_bytes.h"
#include "formats/temp_folder.h"
#include "model/golden_models.h"

namespace hachi::model {
namespace {

using formats::GgufBytes;

std::vector<float> floats(const ConstTensor& tensor) {
  const int64_t rows = tensor.rank() == 2 ? tensor.size(0) : 1;
  std::vector<float> values(static_cast<size_t>(rows * tensor.size(tensor.rank() - 1)));
  std::memcpy(values.data(), tensor.data(), values.size() * sizeof(float));
  return values;
}

// The order that llama.cpp's converter gives to the rows of each head of q and k: i and i + D/2
// become neighbours.
std::vector<float> interleaved(const std::vector<float>& values, int64_t head_dim, int64_t width) {
  std::vector<float> out(values.size());
  const auto rows = static_cast<int64_t>(values.size()) / width;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t head = row / head_dim * head_dim;
    const int64_t in_head = row % head_dim;
    const int64_t half = head_dim / 2;
    const int64_t to = head + (in_head % half) * 2 + in_head / half;
    std::copy_n(values.begin() + row * width, width, out.begin() + to * width);
  }
  return out;
}

struct Rename {
  const char* from;
  const char* to;
};

constexpr Rename kRenames[] = {
    {"model.layers.", "blk."},        {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},    {"lm_head", "output"},
    {"input_layernorm", "attn_norm"}, {"post_attention_layernorm", "ffn_norm"},
    {"self_attn.q_proj", "attn_q"},   {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},   {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"},    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"}};

std::string gguf_name(std::string name) {
  for (const auto& [from, to] : kRenames) {
    if (const size_t at = name.find(from); at != std::string::npos) {
      name.replace(at, std::strlen(from), to);
    }
  }
  return name;
}

void add_sizes(GgufBytes& gguf, const std::string& family, const ModelConfig& config) {
  const auto number = [&](const char* key, int64_t value) {
    gguf.u32(family + "." + key, static_cast<uint32_t>(value));
  };
  gguf.string("general.architecture", family);
  number("block_count", config.num_layers);
  number("context_length", config.context_length);
  number("embedding_length", config.hidden_size);
  number("feed_forward_length", config.ffn_size);
  number("attention.head_count", config.num_heads);
  number("attention.head_count_kv", config.num_kv_heads);
  number("attention.key_length", config.head_dim);
  gguf.f32(family + ".attention.layer_norm_rms_epsilon", config.norm_eps);
  gguf.f32(family + ".rope.freq_base", static_cast<float>(config.rope.theta));
}

// The golden Llama 3.1 as llama.cpp's converter would write it.
GgufBytes as_gguf(const testing::GoldenModel& golden) {
  const ModelConfig& config = golden.model->config();
  GgufBytes gguf;
  add_sizes(gguf, "llama", config);
  for (const formats::TensorEntry& tensor : golden.checkpoint->tensors()) {
    const std::string name = gguf_name(std::string(tensor.name));
    std::vector<float> values = floats(tensor.data);
    if (name.find("attn_q.") != name.npos || name.find("attn_k.") != name.npos) {
      values = interleaved(values, config.head_dim, config.hidden_size);
    }
    std::vector<uint64_t> sizes;
    for (int i = 0; i < tensor.data.rank(); ++i) {
      sizes.push_back(static_cast<uint64_t>(tensor.data.size(i)));
    }
    gguf.f32_tensor(name, sizes, values);
  }
  RopeConfig plain = config.rope;
  plain.scaling = RopeScaling::kNone;
  const auto unscaled = inverse_frequencies(plain, config.head_dim);
  const auto scaled = inverse_frequencies(config.rope, config.head_dim);
  std::vector<float> divisors;
  for (size_t i = 0; i < scaled.size(); ++i) divisors.push_back(unscaled[i] / scaled[i]);
  gguf.f32_tensor("rope_freqs.weight", {divisors.size()}, divisors);
  return gguf;
}

TEST(Gguf, LlamaHasTheLogitsOfItsHuggingFaceFolder) {
  testing::GoldenModel golden = testing::open_golden("llama3-f32");
  ASSERT_TRUE(golden.model);
  const formats::TempFolder folder;
  const auto path = folder.write("llama.gguf", as_gguf(golden).bytes());
  auto checkpoint = formats::Checkpoint::open(path);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  auto model = Model::load(std::make_shared<const formats::Checkpoint>(*std::move(checkpoint)));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->config().rope.layout, ops::RopeLayout::kInterleaved);
  golden.model = std::make_unique<Model>(*std::move(model));
  const std::vector<float> logits = testing::run_prompt(golden, ops::Device::kCpu);
  testing::expect_golden_logits(golden, logits);
}

// A Qwen3 file of no layers' worth of tensors: enough for its config.
float yarn_magnitude_of(bool deepseek, std::optional<float> attn_factor, YarnMagnitude magnitude) {
  GgufBytes gguf;
  ModelConfig sizes;
  sizes.num_layers = sizes.num_heads = sizes.num_kv_heads = 1;
  sizes.hidden_size = sizes.ffn_size = sizes.head_dim = 8;
  sizes.context_length = 131072;
  sizes.norm_eps = 1e-6f;
  add_sizes(gguf, "qwen3", sizes);
  gguf.string("qwen3.rope.scaling.type", "yarn").f32("qwen3.rope.scaling.factor", 4);
  gguf.u32("qwen3.rope.scaling.original_context_length", 32768);
  if (attn_factor) gguf.f32("qwen3.rope.scaling.attn_factor", *attn_factor);
  std::vector<std::string> tokens(151644, "a");
  tokens.back() = deepseek ? "<｜begin▁of▁sentence｜>" : "<|endoftext|>";
  gguf.strings("tokenizer.ggml.tokens", tokens);
  gguf.f32_tensor("token_embd.weight", {1, 8}, std::vector<float>(8));
  const formats::TempFolder folder;
  const auto checkpoint = formats::Checkpoint::open(folder.write("a.gguf", gguf.bytes()));
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  const auto config = read_config(*checkpoint, {.yarn_magnitude = magnitude});
  EXPECT_TRUE(config) << config.error().message;
  return config->rope.magnitude;
}

TEST(Gguf, YarnIsScaledBackForTheDeepSeekDistill) {
  constexpr float kGrown = 1.1386294361f;
  EXPECT_NEAR(yarn_magnitude_of(true, {}, YarnMagnitude::kAuthor), 1, 1e-6);
  EXPECT_NEAR(yarn_magnitude_of(true, {}, YarnMagnitude::kTransformers), kGrown, 1e-6);
  EXPECT_NEAR(yarn_magnitude_of(false, {}, YarnMagnitude::kAuthor), kGrown, 1e-6);
  EXPECT_NEAR(yarn_magnitude_of(false, 0.5f, YarnMagnitude::kAuthor), kGrown / 2, 1e-6);
}

}  // namespace
}  // namespace hachi::model
