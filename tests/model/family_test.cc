// What the files of each family say of it, and what they forget: windows, rotations, end tokens,
// sampling.
#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "formats/gguf_bytes.h"
#include "formats/temp_folder.h"
#include "model/golden_models.h"

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::GgufBytes;
using formats::TempFolder;
namespace json = boost::json;
namespace fs = std::filesystem;

using Windows = std::vector<int64_t>;

// The folder of a golden model with fields of its config.json changed.
class ChangedFolder {
 public:
  ChangedFolder(const std::string& golden, const json::object& changes) {
    const fs::path from = fs::path(HACHI_TEST_DIR) / "golden/models" / golden;
    json::object config = json::parse(*read_file(from / "config.json", 1 << 20)).as_object();
    for (const auto& [key, value] : changes) config[key] = value;
    folder_.write("config.json", json::serialize(config));
    fs::copy_file(from / "model.safetensors", folder_.path() / "model.safetensors");
  }

  void write(std::string_view name, std::string_view text) const { folder_.write(name, text); }

  Result<ModelConfig> config(const ConfigOptions& options = {}) const {
    TRY(const Checkpoint checkpoint, Checkpoint::open(folder_.path()));
    return read_config(checkpoint, options);
  }

 private:
  TempFolder folder_;
};

Result<ModelConfig> changed(const std::string& golden, const json::object& changes,
                            const ConfigOptions& options = {}) {
  return ChangedFolder(golden, changes).config(options);
}

// The sizes of a model of one head, and an embedding of four rows.
GgufBytes small_gguf(const std::string& family, uint32_t layers, uint32_t context) {
  GgufBytes gguf;
  gguf.string("general.architecture", family);
  gguf.u32(family + ".block_count", layers).u32(family + ".context_length", context);
  for (const char* key : {"embedding_length", "feed_forward_length", "attention.key_length"}) {
    gguf.u32(family + "." + key, 8);
  }
  gguf.u32(family + ".attention.head_count", 1);
  gguf.f32(family + ".attention.layer_norm_rms_epsilon", 1e-6f);
  gguf.f32_tensor("token_embd.weight", {4, 8}, std::vector<float>(32));
  return gguf;
}

Result<ModelConfig> config_of(const GgufBytes& gguf, const ConfigOptions& options = {}) {
  const TempFolder folder;
  TRY(const Checkpoint checkpoint, Checkpoint::open(folder.write("a.gguf", gguf.bytes())));
  return read_config(checkpoint, options);
}

TEST(Families, EachSaysWhatDiffers) {
  const auto config = [](const char* name) { return testing::open_golden(name).model->config(); };
  const ModelConfig gemma = config("gemma-bf16");
  EXPECT_EQ(gemma.activation, Activation::kGelu);
  EXPECT_FLOAT_EQ(gemma.embedding_scale, 8);  // the root of 64
  EXPECT_EQ(gemma.norm_offset, 1);
  EXPECT_FALSE(gemma.post_norms || gemma.qk_norm || gemma.local_rope);
  const ModelConfig gemma3 = config("gemma3-bf16");
  EXPECT_TRUE(gemma3.post_norms && gemma3.qk_norm && gemma3.tied_head);
  EXPECT_EQ(gemma3.windows, (Windows{12, 12, 12, 12, 12, 0, 12}));
  EXPECT_EQ(gemma3.rope.theta, 1e6);
  ASSERT_TRUE(gemma3.local_rope);
  EXPECT_EQ(gemma3.local_rope->theta, 1e4);
  EXPECT_EQ(config("mistral-window-bf16").windows, (Windows{12, 12}));
  const ModelConfig phi3 = config("phi3-window-bf16");
  EXPECT_TRUE(phi3.fused);
  EXPECT_EQ(phi3.windows, (Windows{12, 12}));
  EXPECT_EQ(phi3.norm_offset, 0);
  EXPECT_EQ(config("llama3-f32").windows, (Windows{0, 0}));
}

TEST(Families, OthersAreRefused) {
  const auto config = changed("llama-bf16", {{"architectures", json::array{"Gemma2ForCausalLM"}}});
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Code::kUnsupported);
  EXPECT_FALSE(changed("gemma3-bf16", {{"final_logit_softcapping", 30.0}}));
  EXPECT_FALSE(changed("gemma3-bf16", {{"attn_logit_softcapping", 50.0}}));
  EXPECT_FALSE(changed("gemma3-bf16", {{"use_bidirectional_attention", true}}));
  EXPECT_FALSE(changed("gemma3-bf16", {{"hidden_activation", "silu"}}));
  EXPECT_FALSE(changed("llama-bf16", {{"hidden_act", "gelu_pytorch_tanh"}}));
  EXPECT_FALSE(changed("phi3-window-bf16", {{"partial_rotary_factor", 0.75}}));
}

// Published Qwen3-0.6B holds its embedding a second time under the name of the head.
TEST(Families, ATiedHeadIsTiedThoughTheFileHoldsOne) {
  EXPECT_FALSE(changed("qwen3-f32", {})->tied_head);
  EXPECT_TRUE(changed("qwen3-f32", {{"tie_word_embeddings", true}})->tied_head);
}

TEST(Windows, AreReadAsTransformersReadsThem) {
  const json::object layered = {
      {"sliding_window", 7}, {"layer_types", json::array{"full_attention", "sliding_attention"}}};
  EXPECT_EQ(changed("qwen3-f32", layered)->windows, (Windows{0, 7}));
  EXPECT_EQ(changed("mistral-window-bf16", {{"sliding_window", nullptr}})->windows,
            (Windows{0, 0}));
  // Qwen3's config has a window that is off.
  EXPECT_EQ(changed("qwen3-f32", {{"sliding_window", 7}})->windows, (Windows{0, 0}));
  const json::object late = {
      {"sliding_window", 7}, {"use_sliding_window", true}, {"max_window_layers", 1}};
  EXPECT_EQ(changed("qwen3-f32", late)->windows, (Windows{0, 7}));
  // Llama has none, whatever its config says.
  EXPECT_EQ(changed("llama-bf16", {{"sliding_window", 7}})->windows, (Windows{0, 0}));
  EXPECT_EQ(changed("gemma3-bf16", {{"sliding_window_pattern", 2}})->windows,
            (Windows{12, 0, 12, 0, 12, 0, 12}));
}

TEST(Windows, WrongOnesAreRefused) {
  for (const json::value& window : json::array{0, -3, "wide"}) {
    EXPECT_FALSE(changed("mistral-window-bf16", {{"sliding_window", window}}));
  }
  EXPECT_FALSE(changed("gemma3-bf16", {{"sliding_window_pattern", 0}}));
  EXPECT_FALSE(changed("qwen3-f32", {{"layer_types", json::array{"full_attention"}}}));
  EXPECT_FALSE(
      changed("qwen3-f32", {{"layer_types", json::array{"full_attention", "linear_attention"}}}));
  EXPECT_FALSE(
      changed("qwen3-f32", {{"layer_types", json::array{"full_attention", "sliding_attention"}}}));
}

TEST(Windows, OfGgufFiles) {
  GgufBytes gemma = small_gguf("gemma3", 7, 64);
  gemma.u32("gemma3.attention.sliding_window", 5);
  EXPECT_EQ(config_of(gemma)->windows, (Windows{5, 5, 5, 5, 5, 0, 5}));
  GgufBytes listed = small_gguf("gemma3", 3, 64);
  listed.u32("gemma3.attention.sliding_window", 5);
  listed.i32s("gemma3.attention.sliding_window_pattern", {0, 1, 0});
  EXPECT_EQ(config_of(listed)->windows, (Windows{0, 5, 0}));
  GgufBytes wrong = small_gguf("gemma3", 4, 64);
  wrong.u32("gemma3.attention.sliding_window", 5);
  wrong.i32s("gemma3.attention.sliding_window_pattern", {0, 1, 0});
  EXPECT_FALSE(config_of(wrong));
  // The first files of Phi-3 Mini 4k say nothing; a 0 says that there is none.
  EXPECT_EQ(config_of(small_gguf("phi3", 2, 4096))->windows, (Windows{2047, 2047}));
  EXPECT_EQ(config_of(small_gguf("phi3", 2, 8192))->windows, (Windows{0, 0}));
  GgufBytes none = small_gguf("phi3", 2, 4096);
  none.u32("phi3.attention.sliding_window", 0);
  EXPECT_EQ(config_of(none)->windows, (Windows{0, 0}));
}

TEST(Rotations, OfGemma3InAllSpellings) {
  const json::object newest = {
      {"rope_theta", nullptr},
      {"rope_local_base_freq", nullptr},
      {"rope_parameters",
       {{"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 5e5}}},
        {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}}}};
  const auto config = changed("gemma3-bf16", newest);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->rope.theta, 5e5);
  EXPECT_EQ(config->rope.factor, 8);
  EXPECT_EQ(config->local_rope->theta, 2e4);
  EXPECT_EQ(config->local_rope->scaling, RopeScaling::kNone);
  GgufBytes gguf = small_gguf("gemma3", 1, 64);
  EXPECT_EQ(config_of(gguf)->local_rope->theta, 1e4);
  gguf.f32("gemma3.rope.freq_base_swa", 3e4f);
  EXPECT_EQ(config_of(gguf)->local_rope->theta, 3e4);
}

// The list is one choice by the context that the engine is given.
TEST(LongRope, TheContextChoosesTheList) {
  const auto config = [](int64_t context) {
    return *changed("phi3-short-bf16", {}, {.context = context});
  };
  for (const int64_t context : {1, 128}) {
    EXPECT_EQ(config(context).rope.divisors[7], 2.5f);
    EXPECT_EQ(config(context).context_length, 128);
  }
  for (const int64_t context : {129, 4096, 0}) {
    EXPECT_EQ(config(context).rope.divisors[7], 32.0f);
    EXPECT_EQ(config(context).context_length, 4096);
  }
  EXPECT_EQ(config(1).rope.magnitude, config(0).rope.magnitude);
}

TEST(LongRope, WrongListsAreRefused) {
  const auto with = [](json::array short_factor, int64_t original) {
    return changed("phi3-short-bf16", {{"original_max_position_embeddings", original},
                                       {"rope_scaling",
                                        {{"type", "su"},
                                         {"short_factor", std::move(short_factor)},
                                         {"long_factor", json::array{1, 1, 1, 1, 1, 1, 1, 1}}}}});
  };
  EXPECT_TRUE(with({1, 1, 1, 1, 1, 1, 1, 1}, 128));
  EXPECT_FALSE(with({1, 1, 1}, 128));
  EXPECT_FALSE(with({1, 1, 1, 1, 1, 1, 1, 0}, 128));
  EXPECT_FALSE(with({1, 1, 1, 1, 1, 1, 1, 1}, 1));
  EXPECT_FALSE(with({1, 1, 1, 1, 1, 1, 1, 1}, 0));
  GgufBytes gguf = small_gguf("phi3", 1, 64);
  gguf.u32("phi3.rope.scaling.original_context_length", 16);
  gguf.f32_tensor("rope_factors_long.weight", {4}, {1, 2, 3, 4});
  EXPECT_FALSE(config_of(gguf));
  gguf.f32_tensor("rope_factors_short.weight", {4}, {1, 1, 1, 1});
  const auto config = config_of(gguf);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->rope.divisors, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_NEAR(config->rope.magnitude, std::sqrt(1.5), 1e-6);  // ln 4 / ln 16 is a half
}

// Phi-3 Mini 128k's numbers, computed apart.
TEST(LongRope, HasTheFrequenciesOfPhi3) {
  const auto text = read_file(fs::path(HACHI_REFERENCE_DIR) / "rope-tables.json", 1 << 20);
  if (!text) GTEST_SKIP() << "skipped: " << text.error().message;
  const json::value table = json::parse(*text).at("phi-3-mini-128k");
  for (const std::string which : {"long", "short"}) {
    RopeConfig config{.scaling = RopeScaling::kLongRope};
    config.divisors = json::value_to<std::vector<float>>(table.at(which + "_factor"));
    const auto expected = json::value_to<std::vector<double>>(table.at("inv_freq_" + which));
    const std::vector<float> found = inverse_frequencies(config, 96);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i], expected[i], expected[i] * 2e-7) << which << ' ' << i;
    }
  }
  EXPECT_NEAR(longrope_magnitude(32, 4096), 1.1902380714238083, 1e-12);
  EXPECT_EQ(longrope_magnitude(1, 4096), 1);
}

using Ids = std::vector<int32_t>;

TEST(EndTokens, ThatGgufFilesForgetAreKnownByTheirTexts) {
  const auto ends = [](const std::string& family, const std::vector<std::string>& tokens) {
    GgufBytes gguf = small_gguf(family, 1, 64);
    gguf.u32("tokenizer.ggml.eos_token_id", 0).strings("tokenizer.ggml.tokens", tokens);
    return config_of(gguf)->eos_ids;
  };
  EXPECT_EQ(ends("gemma", {"<eos>", "a", "<end_of_turn>", "b"}), (Ids{0, 2}));
  EXPECT_EQ(ends("gemma3", {"<eos>", "<end_of_turn>", "a", "b"}), (Ids{0, 1}));
  EXPECT_EQ(ends("phi3", {"<|endoftext|>", "<|assistant|>", "a", "<|end|>"}), (Ids{0, 1, 3}));
  EXPECT_EQ(ends("llama", {"<|end_of_text|>", "a", "<|eom_id|>", "<|eot_id|>"}), (Ids{0, 2, 3}));
  EXPECT_EQ(ends("llama", {"</s>", "<end_of_turn>", "<|im_end|>", ""}), (Ids{0}));
  // A token for which the model has no row ends nothing.
  EXPECT_EQ(ends("gemma3", {"<eos>", "a", "b", "c", "<end_of_turn>"}), (Ids{0}));
}

TEST(EndTokens, OfAFolderComeFromItsFiles) {
  const ChangedFolder phi3("phi3-window-bf16", {});
  phi3.write("generation_config.json", R"({"eos_token_id": [7, 3, 5]})");
  EXPECT_EQ(phi3.config()->eos_ids, (Ids{3, 5, 7}));
  const ChangedFolder gemma("gemma-bf16", {{"eos_token_id", 1}});
  gemma.write("tokenizer_config.json", R"({"added_tokens_decoder": {
      "106": {"content": "<start_of_turn>"}, "107": {"content": "<end_of_turn>"},
      "9999": {"content": "<end_of_turn>"}, "x": {"content": "<end_of_turn>"}}})");
  EXPECT_EQ(gemma.config()->eos_ids, (Ids{1, 107}));
  const ChangedFolder wrong("gemma-bf16", {{"eos_token_id", 160}});
  EXPECT_FALSE(wrong.config());
}

TEST(Sampling, WhatAFileLeavesOutIsOne) {
  const ChangedFolder gemma("gemma3-bf16", {});
  gemma.write("generation_config.json", R"({"do_sample": true, "top_k": 64, "top_p": 0.95})");
  const SamplingDefaults sampling = gemma.config()->sampling;
  EXPECT_EQ(sampling.temperature, 1);
  EXPECT_EQ(sampling.top_p, 0.95);
  EXPECT_EQ(sampling.top_k, 64);
  const ChangedFolder mistral("mistral-window-bf16", {});
  mistral.write("generation_config.json", R"({"eos_token_id": 2})");
  EXPECT_FALSE(mistral.config()->sampling.temperature);
}

}  // namespace
}  // namespace hachi::model
