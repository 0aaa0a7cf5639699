#include "model/family.h"

namespace hachi::model {
namespace {

using ops::RopeLayout;

// Sources: the config.json of the models and Transformers' modeling_*.py of the classes named.
constexpr Family kFamilies[] = {
    {.gguf = "qwen3",
     .hugging_face = "Qwen3ForCausalLM",
     .qk_norm = true,
     .windowed = WindowedLayers::kWhenSwitched},
    {.gguf = "llama", .hugging_face = "LlamaForCausalLM", .gguf_layout = RopeLayout::kInterleaved},
    {.gguf = "llama",
     .hugging_face = "MistralForCausalLM",
     .gguf_layout = RopeLayout::kInterleaved,
     .windowed = WindowedLayers::kAll},
    {.gguf = "gemma",
     .hugging_face = "GemmaForCausalLM",
     .gelu = true,
     .scales_embedding = true,
     .norms_less_one = true},
    {.gguf = "gemma3",
     .hugging_face = "Gemma3ForCausalLM",
     .qk_norm = true,
     .post_norms = true,
     .gelu = true,
     .scales_embedding = true,
     .norms_less_one = true,
     .local_theta = true,
     .windowed = WindowedLayers::kFiveOfSix},
    {.gguf = "phi3",
     .hugging_face = "Phi3ForCausalLM",
     .fused = true,
     .windowed = WindowedLayers::kAll},
};

}  // namespace

Result<const Family*> find_family(const formats::Checkpoint& checkpoint) {
  const bool gguf = checkpoint.kind() == formats::Kind::kGguf;
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
              "{}: the architecture '{}' is not one that Hachi runs (it runs Qwen3, Llama, "
              "Mistral, Gemma, Gemma 3 and Phi-3 models)",
              checkpoint.path().string(), wanted);
}

}  // namespace hachi::model
