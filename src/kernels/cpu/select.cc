#include "kernels/cpu/select.h"

#include <algorithm>

#include "kernels/cpu/amx.h"
#include "kernels/cpu/avx2.h"
#include "kernels/cpu/avx512.h"
#include "kernels/cpu/avxvnni.h"
#include "kernels/cpu/neon.h"
#include "kernels/cpu/portable.h"
#include "kernels/decode.h"

namespace hachi::ops::cpu {
namespace {

constexpr InnerLoops kPortable = {
    .decode = ops::decode,
    .encode = ops::encode,
    .unpack = ops::unpack,
    .round_to_int8 = ops::round_to_int8,
    .dot_int8 = portable::dot_int8,
    .dot_lanes = portable::dot_lanes,
    .sum_lanes = portable::sum_lanes,
    .dot_panels = nullptr,
    .max_panel_tokens = 0,
    .signed_bytes = true,
    .dot_tiles = nullptr,
    .score_keys = portable::score_keys,
    .add_values = portable::add_values,
    .softmax = portable::softmax,
    .merge = portable::merge,
    .rms_norm = portable::rms_norm,
    .rope_halves = portable::rope_halves,
    .rope_interleaved = portable::rope_interleaved,
    .swiglu = portable::swiglu,
    .geglu = portable::geglu,
};

#if HACHI_KERNELS_X86
constexpr InnerLoops kAvx2 = {
    .decode = avx2::decode,
    .encode = avx2::encode,
    .unpack = avx2::unpack,
    .round_to_int8 = avx2::round_to_int8,
    .dot_int8 = avx2::dot_int8,
    .dot_lanes = avx2::dot_lanes,
    .sum_lanes = avx2::sum_lanes,
    .dot_panels = avx2::dot_panels,
    .max_panel_tokens = std::min(4, kMostPanelTokens),
    .signed_bytes = true,
    .dot_tiles = nullptr,
    .score_keys = avx2::score_keys,
    .add_values = avx2::add_values,
    .softmax = avx2::softmax,
    .merge = avx2::merge,
    .rms_norm = avx2::rms_norm,
    .rope_halves = avx2::rope_halves,
    .rope_interleaved = avx2::rope_interleaved,
    .swiglu = avx2::swiglu,
    .geglu = avx2::geglu,
};

constexpr InnerLoops kAvxVnni = [] {
  InnerLoops loops = kAvx2;
  loops.dot_panels = avxvnni::dot_panels;
  loops.signed_bytes = false;
  return loops;
}();

constexpr InnerLoops kAvx512 = [] {
  InnerLoops loops = kAvx2;
  loops.round_to_int8 = avx512::round_to_int8;
  loops.dot_panels = avx512::dot_panels;
  loops.max_panel_tokens = kMostPanelTokens;
  loops.signed_bytes = false;
  loops.score_keys = avx512::score_keys;
  loops.add_values = avx512::add_values;
  loops.softmax = avx512::softmax;
  loops.merge = avx512::merge;
  loops.swiglu = avx512::swiglu;
  loops.geglu = avx512::geglu;
  return loops;
}();

constexpr InnerLoops kAmx = [] {
  InnerLoops loops = kAvx512;
  loops.dot_tiles = amx::dot_tiles;
  return loops;
}();
#endif

#if HACHI_KERNELS_NEON
constexpr InnerLoops kNeonDot = [] {
  InnerLoops loops = kPortable;
  loops.dot_panels = neon::dot_panels;
  loops.max_panel_tokens = std::min(4, kMostPanelTokens);
  return loops;
}();
#endif

}  // namespace

const InnerLoops& inner_loops([[maybe_unused]] const CpuFeatures& features) {
#if HACHI_KERNELS_X86
  if (features.amx) return kAmx;
  if (features.avx512) return kAvx512;
  if (features.avx_vnni) return kAvxVnni;
  if (features.avx2) return kAvx2;
#endif
#if HACHI_KERNELS_NEON
  if (features.neon_dot) return kNeonDot;
#endif
  return kPortable;
}

}  // namespace hachi::ops::cpu
