// GGUF files of all families, written from the golden folders as llama.cpp's converter does it, and
// what only GGUF files have: YaRN without DeepSeek's key, windows and end tokens that are left out.
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include "formats/gguf_bytes.h"
#include "formats/temp_folder.h"
#include "kernels/decode.h"
#include "model/golden_models.h"

namespace hachi::model {
namespace {

using formats::GgufBytes;

std::vector<float> floats(const ConstTensor& tensor) {
  const int64_t rows = tensor.rank() == 2 ? tensor.size(0) : 1;
  std::vector<float> values(static_cast<size_t>(rows * tensor.size(tensor.rank() - 1)));
  ops::decode(tensor.dtype(), tensor.data(), static_cast<int64_t>(values.size()), values.data());
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

// Gemma 3 gives the name that others have for its feed-forward's norm to another one.
constexpr Rename kGemma3Renames[] = {{"post_attention_layernorm", "post_attention_norm"},
                                     {"pre_feedforward_layernorm", "ffn_norm"},
                                     {"post_feedforward_layernorm", "post_ffw_norm"}};

constexpr Rename kRenames[] = {
    {"model.layers.", "blk."},           {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},       {"lm_head", "output"},
    {"input_layernorm", "attn_norm"},    {"post_attention_layernorm", "ffn_norm"},
    {"self_attn.q_proj", "attn_q"},      {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},      {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"}, {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.qkv_proj", "attn_qkv"},  {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"}};

std::string gguf_name(std::string name, const std::string& family) {
  const auto rename = [&name](const Rename& change) {
    if (const size_t at = name.find(change.from); at != std::string::npos) {
      name.replace(at, std::strlen(change.from), change.to);
    }
  };
  if (family == "gemma3") {
    for (const Rename& change : kGemma3Renames) rename(change);
  }
  for (const Rename& change : kRenames) rename(change);
  return name;
}

void add_sizes(GgufBytes& gguf, const std::string& family, const ModelConfig& config,
               int64_t context_length) {
  const auto number = [&](const char* key, int64_t value) {
    gguf.u32(family + "." + key, static_cast<uint32_t>(value));
  };
  gguf.string("general.architecture", family);
  number("block_count", config.num_layers);
  number("context_length", context_length);
  number("embedding_length", config.hidden_size);
  number("feed_forward_length", config.ffn_size);
  number("attention.head_count", config.num_heads);
  number("attention.head_count_kv", config.num_kv_heads);
  number("attention.key_length", config.head_dim);
  gguf.f32(family + ".attention.layer_norm_rms_epsilon", config.norm_eps);
  gguf.f32(family + ".rope.freq_base", static_cast<float>(config.rope.theta));
}

// What llama.cpp's converter writes of each family beside the sizes.
void add_windows(GgufBytes& gguf, const ModelConfig& config) {
  const int64_t window = config.windows[0];
  const std::string key = config.family + ".attention.sliding_window";
  if (window > 0) gguf.u32(key, static_cast<uint32_t>(window));
}

// Llama 3.1's scaling as one divisor a pair, Phi-3's two lists with what they are for.
void add_rope(GgufBytes& gguf, const testing::GoldenModel& golden) {
  const ModelConfig& config = golden.model->config();
  if (config.rope.scaling == RopeScaling::kLlama3) {
    RopeConfig plain = config.rope;
    plain.scaling = RopeScaling::kNone;
    const auto unscaled = inverse_frequencies(plain, config.head_dim);
    const auto scaled = inverse_frequencies(config.rope, config.head_dim);
    std::vector<float> divisors;
    for (size_t i = 0; i < scaled.size(); ++i) divisors.push_back(unscaled[i] / scaled[i]);
    gguf.f32_tensor("rope_freqs.weight", {divisors.size()}, divisors);
  }
  if (config.rope.scaling != RopeScaling::kLongRope) return;
  gguf.u32("phi3.rope.scaling.original_context_length",
           static_cast<uint32_t>(config.rope.original_context));
  gguf.f32("phi3.rope.scaling.attn_factor", config.rope.magnitude);
  for (const char* name : {"long", "short"}) {
    std::vector<float> list;
    const auto divisors =
        golden.checkpoint->metadata().numbers(fmt::format("rope_scaling.{}_factor", name));
    for (const double divisor : *divisors) list.push_back(static_cast<float>(divisor));
    gguf.f32_tensor(fmt::format("rope_factors_{}.weight", name), {list.size()}, list);
  }
}

// A golden model as llama.cpp's converter would write it, in F32: Llama's and Mistral's rows of q
// and k in another order, Gemma's norms with the 1 that they lack, Phi-3's fused matrices as they
// are.
GgufBytes as_gguf(const testing::GoldenModel& golden) {
  const ModelConfig& config = golden.model->config();
  GgufBytes gguf;
  const auto context = golden.checkpoint->metadata().integer("max_position_embeddings");
  add_sizes(gguf, config.family, config, **context);
  add_windows(gguf, config);
  for (const formats::TensorEntry& tensor : golden.checkpoint->tensors()) {
    const std::string name = gguf_name(std::string(tensor.name), config.family);
    std::vector<float> values = floats(tensor.data);
    if (config.family == "llama" &&
        (name.find("attn_q.") != name.npos || name.find("attn_k.") != name.npos)) {
      values = interleaved(values, config.head_dim, config.hidden_size);
    }
    if (name.find("norm") != name.npos) {
      for (float& value : values) value += config.norm_offset;
    }
    std::vector<uint64_t> sizes;
    for (int i = 0; i < tensor.data.rank(); ++i) {
      sizes.push_back(static_cast<uint64_t>(tensor.data.size(i)));
    }
    gguf.f32_tensor(name, sizes, values);
  }
  add_rope(gguf, golden);
  return gguf;
}

class GgufFamily : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufFamily, HasTheLogitsOfTransformers) {
  testing::GoldenModel golden = testing::open_golden(GetParam());
  ASSERT_TRUE(golden.model);
  const formats::TempFolder folder;
  const auto path = folder.write("model.gguf", as_gguf(golden).bytes());
  auto checkpoint = formats::Checkpoint::open(path);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  auto model = Model::load(std::make_shared<const formats::Checkpoint>(*std::move(checkpoint)),
                           {.context = testing::kGoldenContext});
  ASSERT_TRUE(model) << model.error().message;
  const ModelConfig& before = golden.model->config();
  const ModelConfig& after = model->config();
  EXPECT_EQ(after.rope.layout == ops::RopeLayout::kInterleaved, before.family == "llama");
  EXPECT_EQ(after.windows, before.windows);
  EXPECT_EQ(after.context_length, before.context_length);
  EXPECT_EQ(after.tied_head, before.tied_head);
  golden.model = std::make_unique<Model>(*std::move(model));
  const std::vector<float> logits = testing::run_prompt(golden, ops::Device::kCpu);
  testing::expect_golden_logits(golden, logits);
}

INSTANTIATE_TEST_SUITE_P(All, GgufFamily,
                         ::testing::Values("qwen3-f32", "llama3-f32", "mistral-window-bf16",
                                           "gemma-bf16", "gemma3-bf16", "phi3-window-bf16",
                                           "phi3-long-bf16", "phi3-short-bf16"));

// A Qwen3 file of no layers' worth of tensors: enough for its config.
float yarn_magnitude_of(bool deepseek, std::optional<float> attn_factor, YarnMagnitude magnitude) {
  GgufBytes gguf;
  ModelConfig sizes;
  sizes.num_layers = sizes.num_heads = sizes.num_kv_heads = 1;
  sizes.hidden_size = sizes.ffn_size = sizes.head_dim = 8;
  sizes.norm_eps = 1e-6f;
  add_sizes(gguf, "qwen3", sizes, 131072);
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
