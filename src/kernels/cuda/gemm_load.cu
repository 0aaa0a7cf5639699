#include <dlfcn.h>

#include "kernels/cuda/cublaslt.cuh"

namespace hachi::ops::cuda {
namespace {

// The linker's search has LD_LIBRARY_PATH and the system's folders; then where CUDA installs
// itself.
constexpr const char* kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                                  "/usr/local/cuda/lib64/libcublasLt.so.13",
                                  "/usr/local/cuda/lib64/libcublasLt.so"};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, CublasLt& lt) {
  return find(library, "cublasLtGetVersion", lt.get_version) &&
         find(library, "cublasLtGetStatusString", lt.status_string) &&
         find(library, "cublasLtCreate", lt.create) &&
         find(library, "cublasLtDestroy", lt.destroy) &&
         find(library, "cublasLtMatmulDescCreate", lt.desc_create) &&
         find(library, "cublasLtMatmulDescDestroy", lt.desc_destroy) &&
         find(library, "cublasLtMatmulDescSetAttribute", lt.desc_set) &&
         find(library, "cublasLtMatrixLayoutCreate", lt.layout_create) &&
         find(library, "cublasLtMatrixLayoutDestroy", lt.layout_destroy) &&
         find(library, "cublasLtMatmulPreferenceCreate", lt.preference_create) &&
         find(library, "cublasLtMatmulPreferenceDestroy", lt.preference_destroy) &&
         find(library, "cublasLtMatmulPreferenceSetAttribute", lt.preference_set) &&
         find(library, "cublasLtMatmulAlgoGetHeuristic", lt.get_heuristic) &&
         find(library, "cublasLtMatmulAlgoCheck", lt.algo_check) &&
         find(library, "cublasLtMatmul", lt.matmul);
}

}  // namespace

Result<CublasLt> open_cublaslt() {
  for (const char* name : kNames) {
    void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    CublasLt lt{};
    if (library != nullptr && find_all(library, lt)) return lt;
  }
  return fail(
      Code::kUnsupported,
      "cuBLASLt was not found: libcublasLt.so.13, libcublasLt.so.12 and libcublasLt.so were "
      "looked for on LD_LIBRARY_PATH, in the system's folders and in "
      "/usr/local/cuda/lib64; install the CUDA runtime libraries or set LD_LIBRARY_PATH to "
      "the folder that holds them");
}

}  // namespace hachi::ops::cuda
