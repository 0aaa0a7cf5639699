// Products by cuBLASLt. It thinks in columns: our rows y [T,O] are its columns of an [O,T] matrix,
// y^T = W x^T, so that its A is W, transposed as it lies, and its B is x. Both have the inputs
// innermost, the one order that its e4m3 kernels of Hopper take.
#include <algorithm>
#include <array>
#include <compare>
#include <limits>
#include <map>
#include <source_location>

#include "kernels/cuda/cublaslt.cuh"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_trial.cuh"
#include "kernels/cuda/small_device.cuh"

namespace hachi::ops::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{64} << 20;
constexpr int kMaxCandidates = 8;
constexpr int kTimedRounds = 4;  // over all candidates, after one that is not timed
// A candidate has to be so much faster than the first to take its place: times vary by some
// percent.
constexpr float kLeastGain = 0.985f;
// From here on a product takes long enough for its best kernel to matter, and the same one serves
// any number of rows.
constexpr int64_t kManyRows = 1024;
constexpr int kMaxAlignment = 256;
// Fewer rows are computed as so many would be: reading the weights takes as long, and what the
// heuristic has for fewer can be far from that (gemm_bench, H100: 8 rows of [4096,12288] in bf16
// 0.276 ms, 64 rows 0.039 ms).
constexpr int64_t kLeastPlanned = 64;
constexpr int kScaleGroup = 128;

// What a plan depends on.
struct Key {
  int64_t rows;
  int64_t outputs;
  int64_t inputs;
  int64_t y_stride;
  Layout layout;
  ScaleSpan span;
  DType y_type;
  bool add;
  bool fast;
  bool w_scaled;
  bool x_scaled;
  uint32_t alignment;  // of all three, in bytes

  auto operator<=>(const Key&) const = default;
};

Key key_of(const Gemm& g) {
  const bool blocks = g.w.layout == Layout::kF8 && g.w.span == ScaleSpan::kBlock128;
  const int64_t rows = blocks ? (g.rows + kGemmRows - 1) / kGemmRows * kGemmRows : g.rows;
  const auto addresses = reinterpret_cast<uintptr_t>(g.w.data) | reinterpret_cast<uintptr_t>(g.x) |
                         reinterpret_cast<uintptr_t>(g.y) | uintptr_t{kMaxAlignment};
  return {.rows = rows,
          .outputs = g.w.outputs,
          .inputs = g.w.inputs,
          .y_stride = g.y_stride,
          .layout = g.w.layout,
          .span = g.w.span,
          .y_type = g.y_type,
          .add = g.add,
          .fast = g.fast,
          .w_scaled = g.w.scales != nullptr,
          .x_scaled = g.x_scale != nullptr,
          .alignment = static_cast<uint32_t>(addresses & (~addresses + 1))};
}

// What no kernel of cuBLASLt can do, whatever its heuristic says.
bool may_take(const Key& key) {
  if (key.rows == 0 || key.outputs == 0 || key.inputs == 0) return false;
  if (key.y_type != DType::kF32 && (key.y_type != DType::kBF16 || key.add)) return false;
  if (key.layout == Layout::kBF16) return true;
  if (key.layout == Layout::kF32) return key.y_type == DType::kF32;
  if (key.layout != Layout::kF8) return false;
  if (key.span == ScaleSpan::kMatrix) return true;
  if (!key.w_scaled || !key.x_scaled) return false;
  // It takes the scales of 128x128 blocks with their rows padded to a multiple of four.
  const int64_t groups = (key.inputs + kScaleGroup - 1) / kScaleGroup;
  return key.span == ScaleSpan::kRow || groups % 4 == 0;
}

cudaDataType_t type_of(Layout layout) {
  if (layout == Layout::kF32) return CUDA_R_32F;
  return layout == Layout::kBF16 ? CUDA_R_16BF : CUDA_R_8F_E4M3;
}

// The scales' modes of W and of x.
std::pair<int32_t, int32_t> scale_modes(ScaleSpan span) {
  if (span == ScaleSpan::kRow) {
    return {CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F, CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F};
  }
  if (span == ScaleSpan::kBlock128) {
    return {CUBLASLT_MATMUL_MATRIX_SCALE_BLK128x128_32F, CUBLASLT_MATMUL_MATRIX_SCALE_VEC128_32F};
  }
  return {CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F, CUBLASLT_MATMUL_MATRIX_SCALE_SCALAR_32F};
}

struct Layouts {
  cublasLtMatrixLayout_t w = nullptr;
  cublasLtMatrixLayout_t x = nullptr;
  cublasLtMatrixLayout_t y = nullptr;
};

// One shape: how it is described, and the ways to compute it, the chosen one first. It has none if
// cuBLASLt does not take it.
struct Plan {
  cublasLtMatmulDesc_t desc = nullptr;
  Layouts layouts;
  std::array<cublasLtMatmulAlgo_t, kMaxCandidates> candidates{};
  int num_candidates = 0;
  bool prepared = false;
};

bool is_captured(Stream stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  CHECK_CUDA(cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

// Of all numbers of rows that are many.
Key of_any_rows(Key key) {
  key.rows = 0;
  return key;
}

class CublasLtGemm : public GemmLibrary {
 public:
  CublasLtGemm(const CublasLt& lt, cublasLtHandle_t handle, void* workspace, bool whole_sums)
      : lt_(lt), handle_(handle), workspace_(workspace), whole_sums_(whole_sums) {}

  CublasLtGemm(const CublasLtGemm&) = delete;
  CublasLtGemm& operator=(const CublasLtGemm&) = delete;

  ~CublasLtGemm() override {
    for (auto& entry : plans_) {
      const Plan& plan = entry.second;
      if (plan.desc != nullptr) lt_.desc_destroy(plan.desc);
      destroy(plan.layouts);
    }
    lt_.destroy(handle_);
    cudaFree(workspace_);
  }

  std::string version() const override {
    const size_t number = lt_.get_version();  // 130100 is 13.1.0
    return fmt::format("{}.{}.{}", number / 10000, number / 100 % 100, number % 100);
  }

  bool takes(const Gemm& gemm) override { return plan(gemm).num_candidates > 0; }

  void run(Stream stream, const Gemm& gemm) override {
    Plan& chosen = plan(gemm);
    CHECK_GT(chosen.num_candidates, 0);
    if (gemm.rows >= kManyRows && !chosen.prepared && !is_captured(stream)) prepare(stream, gemm);
    point_at_scales(chosen, gemm);
    check(multiply(stream, gemm, chosen, chosen.candidates.front(), gemm.y));
  }

  void prepare(Stream stream, const Gemm& gemm) override {
    Plan& chosen = plan(gemm);
    CHECK_GT(chosen.num_candidates, 0);
    chosen.prepared = true;
    const Trial trial(gemm.rows * gemm.y_stride * (gemm.y_type == DType::kF32 ? 4 : 2));
    if (trial.y() == nullptr) return;
    point_at_scales(chosen, gemm);
    const size_t best = fastest(stream, gemm, chosen, trial);
    std::swap(chosen.candidates.front(), chosen.candidates[best]);
    if (gemm.rows < kManyRows) return;
    best_of_many_.insert_or_assign(of_any_rows(key_of(gemm)), chosen.candidates.front());
  }

 private:
  void check(cublasStatus_t status,
             std::source_location at = std::source_location::current()) const {
    if (status == CUBLAS_STATUS_SUCCESS) return;
    check_failed(at.file_name(), static_cast<int>(at.line()),
                 fmt::format("a call of cuBLASLt ({})", lt_.status_string(status)));
  }

  template <class T>
  cublasStatus_t set(Plan& plan, cublasLtMatmulDescAttributes_t attribute, const T& value) const {
    return lt_.desc_set(plan.desc, attribute, &value, sizeof value);
  }

  Plan& plan(const Gemm& gemm) {
    const Key key = key_of(gemm);
    const auto [entry, added] = plans_.try_emplace(key);
    if (added && may_take(key) && describe(key, entry->second)) {
      point_at_scales(entry->second, gemm);
      find_candidates(key, entry->second);
    }
    if (added && key.rows >= kManyRows) reuse(key, entry->second);
    return entry->second;
  }

  // The choice of an earlier product of many rows.
  void reuse(const Key& key, Plan& plan) const {
    const auto found = best_of_many_.find(of_any_rows(key));
    if (found == best_of_many_.end() || plan.num_candidates == 0) return;
    if (!computes(plan, found->second)) return;
    plan.candidates.front() = found->second;
    plan.prepared = true;
  }

  Layouts layouts_of(const Key& key, int64_t num_rows) const {
    const cudaDataType_t type = type_of(key.layout);
    const cudaDataType_t y_type = key.y_type == DType::kF32 ? CUDA_R_32F : CUDA_R_16BF;
    const auto inputs = static_cast<uint64_t>(key.inputs);
    const auto outputs = static_cast<uint64_t>(key.outputs);
    const auto rows = static_cast<uint64_t>(num_rows);
    Layouts layouts;
    check(lt_.layout_create(&layouts.w, type, inputs, outputs, key.inputs));
    check(lt_.layout_create(&layouts.x, type, inputs, rows, key.inputs));
    check(lt_.layout_create(&layouts.y, y_type, outputs, rows, key.y_stride));
    return layouts;
  }

  void destroy(const Layouts& layouts) const {
    for (cublasLtMatrixLayout_t layout : {layouts.w, layouts.x, layouts.y}) {
      if (layout != nullptr) lt_.layout_destroy(layout);
    }
  }

  // False if this version of the library does not know the scales' modes.
  bool describe(const Key& key, Plan& plan) const {
    plan.layouts = layouts_of(key, key.rows);
    // CUBLAS_COMPUTE_32F multiplies f32 in full: TF32 has a type of its own.
    check(lt_.desc_create(&plan.desc, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    check(set(plan, CUBLASLT_MATMUL_DESC_TRANSA, int32_t{CUBLAS_OP_T}));
    check(set(plan, CUBLASLT_MATMUL_DESC_TRANSB, int32_t{CUBLAS_OP_N}));
    if (key.layout != Layout::kF8) return true;
    check(set(plan, CUBLASLT_MATMUL_DESC_FAST_ACCUM, static_cast<int8_t>(key.fast)));
    if (key.span == ScaleSpan::kMatrix) return true;
    const auto [w_mode, x_mode] = scale_modes(key.span);
    return set(plan, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, w_mode) == CUBLAS_STATUS_SUCCESS &&
           set(plan, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, x_mode) == CUBLAS_STATUS_SUCCESS;
  }

  void point_at_scales(Plan& plan, const Gemm& gemm) const {
    if (gemm.w.layout != Layout::kF8) return;
    check(set(plan, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, gemm.w.scales));
    check(set(plan, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, gemm.x_scale));
  }

  // Divided sums are the last resort: e4m3 in blocks has no other kernel for few rows of 12,288.
  void find_candidates(const Key& key, Plan& plan) const {
    constexpr cublasLtReductionScheme_t kWhole = CUBLASLT_REDUCTION_SCHEME_NONE;
    // Parts are kept and joined in f32, never in bf16.
    constexpr cublasLtReductionScheme_t kDivided = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    for (const cublasLtReductionScheme_t scheme : {whole_sums_ ? kWhole : kDivided, kDivided}) {
      for (const int64_t rows : {std::max(key.rows, kLeastPlanned), key.rows}) {
        ask(key, rows, scheme, plan);
        if (plan.num_candidates > 0) return;
      }
    }
  }

  // What the heuristic has for `rows` rows, as far as the plan's own can be computed so.
  void ask(const Key& key, int64_t rows, cublasLtReductionScheme_t scheme, Plan& plan) const {
    cublasLtMatmulPreference_t preference = nullptr;
    check(lt_.preference_create(&preference));
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      check(lt_.preference_set(preference, attribute, &value, sizeof value));
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspaceBytes);
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, static_cast<uint32_t>(scheme));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.alignment);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.alignment);
    const Layouts asked = layouts_of(key, rows);
    cublasLtMatmulHeuristicResult_t found[kMaxCandidates] = {};
    int count = 0;
    const cublasStatus_t status =
        lt_.get_heuristic(handle_, plan.desc, asked.w, asked.x, asked.y, asked.y, preference,
                          kMaxCandidates, found, &count);
    if (status != CUBLAS_STATUS_SUCCESS) count = 0;
    for (int i = 0; i < count; ++i) {
      if (found[i].state != CUBLAS_STATUS_SUCCESS || !computes(plan, found[i].algo)) continue;
      plan.candidates[static_cast<size_t>(plan.num_candidates++)] = found[i].algo;
    }
    destroy(asked);
    check(lt_.preference_destroy(preference));
  }

  bool computes(const Plan& plan, const cublasLtMatmulAlgo_t& algorithm) const {
    const Layouts& layouts = plan.layouts;
    cublasLtMatmulHeuristicResult_t result{};
    const cublasStatus_t status = lt_.algo_check(handle_, plan.desc, layouts.w, layouts.x,
                                                 layouts.y, layouts.y, &algorithm, &result);
    return status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= kWorkspaceBytes;
  }

  cublasStatus_t multiply(Stream stream, const Gemm& gemm, const Plan& plan,
                          const cublasLtMatmulAlgo_t& algorithm, void* y) const {
    const float alpha = 1;
    const float beta = gemm.add ? 1.0f : 0.0f;
    const Layouts& layouts = plan.layouts;
    return lt_.matmul(handle_, plan.desc, &alpha, gemm.w.data, layouts.w, gemm.x, layouts.x, &beta,
                      gemm.y, layouts.y, y, layouts.y, &algorithm, workspace_, kWorkspaceBytes,
                      stream);
  }

  // The index of the candidate.
  size_t fastest(Stream stream, const Gemm& gemm, const Plan& plan, const Trial& trial) const {
    std::array<float, kMaxCandidates> least{};
    unsigned long long first_digest = 0;
    const auto count = static_cast<size_t>(plan.num_candidates);
    for (size_t i = 0; i < count; ++i) {
      trial.clear(stream);
      check(multiply(stream, gemm, plan, plan.candidates[i], trial.y()));
      const unsigned long long digest = trial.digest(stream);
      if (i == 0) first_digest = digest;
      least[i] = digest == first_digest ? std::numeric_limits<float>::max() : 0;
    }
    for (int round = 0; round < kTimedRounds; ++round) {
      for (size_t i = 0; i < count; ++i) {
        if (least[i] > 0) least[i] = std::min(least[i], time(stream, gemm, plan, i, trial));
      }
    }
    size_t best = 0;
    for (size_t i = 1; i < count; ++i) {
      if (least[i] > 0 && least[i] < least[best] && least[i] < kLeastGain * least[0]) best = i;
    }
    return best;
  }

  // Milliseconds of one product.
  float time(Stream stream, const Gemm& gemm, const Plan& plan, size_t candidate,
             const Trial& trial) const {
    CHECK_CUDA(cudaEventRecord(trial.begin, stream));
    check(multiply(stream, gemm, plan, plan.candidates[candidate], trial.y()));
    CHECK_CUDA(cudaEventRecord(trial.end, stream));
    CHECK_CUDA(cudaEventSynchronize(trial.end));
    float ms = 0;
    CHECK_CUDA(cudaEventElapsedTime(&ms, trial.begin, trial.end));
    return ms;
  }

  const CublasLt lt_;
  const cublasLtHandle_t handle_;
  void* const workspace_;
  const bool whole_sums_;
  std::map<Key, Plan> plans_;
  std::map<Key, cublasLtMatmulAlgo_t> best_of_many_;  // by of_any_rows()
};

}  // namespace

Result<std::unique_ptr<GemmLibrary>> GemmLibrary::load(bool whole_sums) {
  TRY(const CublasLt lt, open_cublaslt());
  cublasLtHandle_t handle = nullptr;
  if (const cublasStatus_t status = lt.create(&handle); status != CUBLAS_STATUS_SUCCESS) {
    return fail(Code::kUnsupported, "cuBLASLt does not start on this GPU: {}",
                lt.status_string(status));
  }
  void* workspace = nullptr;
  if (const cudaError_t error = cudaMalloc(&workspace, kWorkspaceBytes); error != cudaSuccess) {
    lt.destroy(handle);
    return fail(Code::kLimit, "the GPU has no room for the {} MiB in which cuBLASLt works: {}",
                kWorkspaceBytes >> 20, cudaGetErrorString(error));
  }
  return std::make_unique<CublasLtGemm>(lt, handle, workspace, whole_sums);
}

}  // namespace hachi::ops::cuda
