#include "kernels/cpu/chosen.h"

#include <iterator>

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

// From the narrowest to the widest.
constexpr Level kLevels[] = {
    {"plain C++", {}, nullptr},
    {"AVX2", {.avx2 = true}, &CpuFeatures::avx2},
    {"AVX-512 VNNI", {.avx2 = true, .avx512 = true}, &CpuFeatures::avx512},
    {"AMX", {.avx2 = true, .avx512 = true, .amx = true}, &CpuFeatures::amx},
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
  const Level* mine = nullptr;
  const Level* widest = nullptr;
  for (const Level& level : kLevels) {
    if (!has(features, level)) continue;
    widest = &level;
    if (mine == nullptr && cpu::inner_loops(level.features).*loop == selected) mine = &level;
  }
  if (mine == nullptr) mine = widest;
  std::string why;
  if (mine != widest) {
    why = fmt::format("there is no {} code for it", widest->name);
  } else if (widest != std::end(kLevels) - 1) {
    why = fmt::format("the processor has no {}", widest[1].name);
  } else {
    why = "the widest there is";
  }
  chosen.push_back({op, mine->name, std::move(why)});
}

}  // namespace

std::vector<ChosenLoops> chosen_loops(const CpuFeatures& features) {
  std::vector<ChosenLoops> chosen;
  add(chosen, "embed, dequantize", &InnerLoops::decode, features);
  add(chosen, "rms_norm", &InnerLoops::rms_norm, features);
  add(chosen, "matmul, repacked weights", &InnerLoops::dot_panels, features);
  add(chosen, "matmul, 16 tokens at a time", &InnerLoops::dot_tiles, features);
  add(chosen, "matmul, block types", &InnerLoops::dot_int8, features);
  add(chosen, "matmul, plain types", &InnerLoops::dot_lanes, features);
  add(chosen, "rope", &InnerLoops::rope_halves, features);
  add(chosen, "kv_store", &InnerLoops::encode, features);
  add(chosen, "attention", &InnerLoops::score_keys, features);
  add(chosen, "swiglu", &InnerLoops::swiglu, features);
  return chosen;
}

}  // namespace hachi::ops
