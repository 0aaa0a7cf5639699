#include "kernels/cpu/features.h"

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace hachi::ops {
namespace {

#if defined(__x86_64__)

// Linux hands out the tile registers, which are large, only to processes that ask.
bool may_use_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// Asked by number: not every compiler has the names of all answers. Source: Intel's manual, CPUID.
CpuFeatures ask_processor() {
  CpuFeatures found;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0) return found;
  const unsigned osxsave_fma_f16c = 1u << 27 | 1u << 12 | 1u << 29;
  if ((ecx & osxsave_fma_f16c) != osxsave_fma_f16c) return found;
  uint32_t kept = 0, high = 0;  // the registers that the operating system keeps
  __asm__("xgetbv" : "=a"(kept), "=d"(high) : "c"(0));

  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return found;
  const unsigned most_leaves = eax;
  const unsigned amx_bf16_tile_int8 = 1u << 22 | 1u << 24 | 1u << 25;
  const bool amx = (edx & amx_bf16_tile_int8) == amx_bf16_tile_int8;
  const uint32_t ymm = 0x06, zmm = 0xe6, tiles = 0x60000;
  const unsigned f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
  const bool vnni = (ecx >> 11 & 1u) != 0;
  found.avx2 = (kept & ymm) == ymm && (ebx >> 5 & 1u) != 0;
  found.avx512 = found.avx2 && (kept & zmm) == zmm && (ebx & f_dq_bw_vl) == f_dq_bw_vl && vnni;
  found.amx = found.avx512 && amx && (kept & tiles) == tiles && may_use_tiles();
  if (found.avx2 && most_leaves >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0) {
    found.avx_vnni = (eax >> 4 & 1u) != 0;
  }
  return found;
}

#elif defined(__aarch64__) && defined(__linux__)

// Source: Linux, Documentation/arch/arm64/elf_hwcaps.rst.
CpuFeatures ask_processor() {
  constexpr unsigned long kDotProducts = 1ul << 20;  // HWCAP_ASIMDDP
  return {.neon_dot = (getauxval(AT_HWCAP) & kDotProducts) != 0};
}

#else

CpuFeatures ask_processor() { return {}; }

#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = ask_processor();
  return features;
}

}  // namespace hachi::ops
