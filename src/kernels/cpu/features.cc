#include "kernels/cpu/features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace hachi::ops {

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
    CpuFeatures found;
#if defined(__x86_64__)
    // Asked by number: not every compiler has F16C's name. The other two answers hold only if the
    // operating system keeps the wide registers.
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    const bool f16c = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
    __builtin_cpu_init();
    found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && f16c;
#endif
    return found;
  }();
  return features;
}

}  // namespace hachi::ops
