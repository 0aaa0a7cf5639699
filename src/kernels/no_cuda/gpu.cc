// Builds without CUDA: no GPU is found, so no op ever runs on one.
#include "kernels/gpu.h"

#include "core/check.h"
#include "kernels/collective.h"
#include "kernels/cuda_ops.h"

namespace hachi::ops {
namespace {

[[noreturn]] void unreachable() {
  check_failed(__FILE__, __LINE__, "an op on a GPU in a build without CUDA");
}

}  // namespace

std::vector<GpuInfo> list_gpus() { return {}; }
uint64_t usable_bytes(const GpuInfo&, const GpuOptions&) { return 0; }

Result<std::unique_ptr<Gpu>> Gpu::open(const GpuOptions&) {
  return fail(Code::kUnsupported,
              "this hachi was built without CUDA: build it where nvcc is, or run on the processor");
}

Result<NcclId> new_nccl_id() { unreachable(); }
Result<std::unique_ptr<Collective>> nccl_collective(Gpu&, int, int, const NcclId&) {
  unreachable();
}

namespace cuda {

void add(Context&, Tensor, ConstTensor) { unreachable(); }
void attend(Context&, const Attend&, const BatchView&) { unreachable(); }
void queue_draw(Context&, std::span<int32_t>, ConstTensor, std::span<const DrawRow>, std::byte*,
                std::span<TokenLogprobs>) {
  unreachable();
}
void embed(Context&, Tensor, int64_t, const Weight&, float) { unreachable(); }
void gather(Context&, Tensor, ConstTensor, std::span<const int64_t>) { unreachable(); }
void matmul(Context&, std::span<const Product>, ConstTensor) { unreachable(); }
void matmul_add(Context&, Tensor, ConstTensor, const Weight&, const Reader&) { unreachable(); }
void norm_gated_matmul(Context&, const GatedMatmul&) { unreachable(); }
void norm_matmul(Context&, std::span<const Product>, ConstTensor, ConstTensor, float, Tensor) {
  unreachable();
}
void rms_norm(Context&, Tensor, ConstTensor, ConstTensor, float) { unreachable(); }
void remember_drawn(Context&, const std::byte*) { unreachable(); }
void rope_angles(Context&, Tensor, std::span<const float>, float) { unreachable(); }
Weight place(Context&, const Weight&, Use, std::byte*, std::byte*) { unreachable(); }
PlacedBytes placed_bytes(const Weight&, Use) { unreachable(); }

}  // namespace cuda
}  // namespace hachi::ops
