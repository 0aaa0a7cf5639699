#include "kernels/cpu/chosen.h"

#include <fmt/format.h>

#include "kernels/cpu/select.h"

namespace hachi::ops {
namespace {

using cpu::InnerLoops;

struct Level {
  std::string_view name;
  CpuFeatures features;
  bool CpuFeatures::*needs;  // null: nothing
};

// From the narrowest to the widest of this kind of processor.
constexpr Level kLevels[] = {
    {"plain C++", {}, nullptr},
#if HACHI_KERNELS_X86
    {"AVX2", {.avx2 = true}, &CpuFeatures::avx2},
    {"AVX-VNNI", {.avx2 = true, .avx_vnni = true}, &CpuFeatures::avx_vnni},
    {"AVX-512 VNNI", {.avx2 = true, .avx512 = true}, &CpuFeatures::avx512},
    {"AMX", {.avx2 = true, .avx512 = true, .amx = true}, &CpuFeatures::amx},
#elif HACHI_KERNELS_NEON
    {"NEON dot product", {.neon_dot = true}, &CpuFeatures::neon_dot},
#endif
};

bool has(const CpuFeatures& features, const Level& level) {
  return level.needs == nullptr || features.*level.needs;
}

// A loop belongs to the first level that selects it. So this cannot differ from what select.cc
// does.
template <class Loop>
void add(std::vector<ChosenLoops>& chosen, std::string_view op, Loop InnerLoops::*loop,
         const CpuFeatures& features) {
  const Loop selected = cpu::inner_loops(features).*loop;
  if (selected == nullptr) return;
  std::string_view set;
  std::string why = "the widest that it has code for";
  for (const Level& level : kLevels) {
    const Loop loop_there = cpu::inner_loops(level.features).*loop;
    if (set.empty() && has(features, level) && loop_there == selected) {
      set = level.name;
    } else if (!set.empty() && !has(features, level) && loop_there != selected) {
      why = fmt::format("the processor has no {}", level.name);
      break;
    }
  }
  chosen.push_back({op, set, std::move(why)});
}

}  // namespace

std::vector<ChosenLoops> chosen_loops(const CpuFeatures& features) {
  std::vector<ChosenLoops> chosen;
  add(chosen, "embed, dequantize", &InnerLoops::decode, features);
  add(chosen, "rms_norm", &InnerLoops::rms_norm, features);
  add(chosen, "matmul, many tokens", &InnerLoops::dot_tiles, features);
  add(chosen, "matmul, repacked weights", &InnerLoops::dot_panels, features);
  add(chosen, "matmul, block types", &InnerLoops::dot_int8, features);
  add(chosen, "matmul, plain types", &InnerLoops::dot_lanes, features);
  add(chosen, "rope", &InnerLoops::rope_halves, features);
  add(chosen, "kv_store", &InnerLoops::encode, features);
  add(chosen, "attention", &InnerLoops::score_keys, features);
  add(chosen, "swiglu", &InnerLoops::swiglu, features);
  add(chosen, "geglu", &InnerLoops::geglu, features);
  return chosen;
}

}  // namespace hachi::ops
