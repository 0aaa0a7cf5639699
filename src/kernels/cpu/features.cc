#include "kernels/cpu/features.h"

namespace hachi::ops {

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = [] {
    CpuFeatures found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                 __builtin_cpu_supports("f16c");
#endif
    return found;
  }();
  return features;
}

}  // namespace hachi::ops
