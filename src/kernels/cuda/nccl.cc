// Ranks by NCCL.
#include "kernels/cuda/nccl.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

#include "kernels/checks.h"
#include "kernels/cuda/device.h"

namespace hachi::ops {
namespace cuda {
namespace {

constexpr const char* kNames[] = {"libnccl.so.2", "libnccl.so",
                                  "/usr/local/cuda/lib64/libnccl.so.2",
                                  "/usr/local/cuda/lib/libnccl.so.2"};

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

bool find_all(void* library, Nccl& nccl) {
  return find(library, "ncclGetErrorString", nccl.error_string) &&
         find(library, "ncclGetUniqueId", nccl.get_unique_id) &&
         find(library, "ncclCommInitRank", nccl.comm_init_rank) &&
         find(library, "ncclCommAbort", nccl.comm_abort) &&
         find(library, "ncclAllReduce", nccl.all_reduce) &&
         find(library, "ncclBroadcast", nccl.broadcast) && find(library, "ncclSend", nccl.send) &&
         find(library, "ncclRecv", nccl.receive) &&
         find(library, "ncclGroupStart", nccl.group_start) &&
         find(library, "ncclGroupEnd", nccl.group_end);
}

Result<void> said(const Nccl& nccl, int result, const char* what) {
  if (result == kNcclSuccess) return {};
  return fail(Code::kIo, "NCCL cannot {}: {} (NCCL_DEBUG=INFO says more)", what,
              nccl.error_string(result));
}

class NcclCollective final : public Collective {
 public:
  NcclCollective(const Nccl& nccl, Device& gpu, int rank, int size)
      : Collective(rank, size), nccl_(nccl), gpu_(&gpu) {}

  // Not destroyed in step with the others, who may be gone.
  ~NcclCollective() override {
    if (comm_ == nullptr) return;
    gpu_->use();
    gpu_->wait();
    nccl_.comm_abort(comm_);
  }

  Result<void> join(const NcclId& id) {
    NcclUniqueId unique;
    std::memcpy(unique.bytes, id.data(), id.size());
    gpu_->use();
    TRY(said(nccl_, nccl_.comm_init_rank(&comm_, size(), unique, rank()), "join the ranks"));
    return {};
  }

  void all_reduce_sum(Context&, Tensor x) override {
    CHECK_EQ(x.stride_bytes(0), row_bytes(DType::kF32, x.size(1)));
    const auto count = static_cast<size_t>(x.size(0) * x.size(1));
    if (count == 0) return;
    gpu_->written(x.data());
    check(nccl_.all_reduce(x.data(), x.data(), count, NcclType::kF32, kNcclSum, comm_,
                           gpu_->stream()));
  }

  void gather_columns(Context&, Tensor x) override {
    const int64_t width = x.size(1) / size();
    const auto count = static_cast<size_t>(width);
    if (x.size(0) == 0) return;
    check(nccl_.group_start());
    for (int64_t row = 0; row < x.size(0); ++row) {
      auto* at = x.row<float>(row);
      if (rank() != 0) {
        check(nccl_.send(at + rank() * width, count, NcclType::kF32, 0, comm_, gpu_->stream()));
        continue;
      }
      for (int peer = 1; peer < size(); ++peer) {
        check(nccl_.receive(at + peer * width, count, NcclType::kF32, peer, comm_, gpu_->stream()));
      }
    }
    check(nccl_.group_end());
  }

  void broadcast(Context&, std::span<std::byte> bytes) override {
    check(nccl_.broadcast(bytes.data(), bytes.data(), bytes.size(), NcclType::kInt8, 0, comm_,
                          gpu_->stream()));
  }

 private:
  // They fail by our own mistake, or when a rank or a GPU is lost: neither can be gone on from.
  void check(int result) const {
    if (result != kNcclSuccess) check_failed(__FILE__, __LINE__, nccl_.error_string(result));
  }

  const Nccl nccl_;
  Device* gpu_;
  NcclComm* comm_ = nullptr;
};

}  // namespace

Result<Nccl> open_nccl() {
  static const Result<Nccl> opened = []() -> Result<Nccl> {
    // Not over what the user has said. Registering the buffers of a graph would make ranks wait for
    // each other where one records a step and another runs it.
    ::setenv("NCCL_NVLS_ENABLE", "0", 0);
    ::setenv("NCCL_GRAPH_REGISTER", "0", 0);
    for (const char* name : kNames) {
      void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
      Nccl nccl{};
      if (library != nullptr && find_all(library, nccl)) return nccl;
    }
    return fail(Code::kUnsupported,
                "a model on several GPUs needs NCCL: libnccl.so.2 was looked for on "
                "LD_LIBRARY_PATH, in the system's folders and in /usr/local/cuda/lib64");
  }();
  return opened;
}

}  // namespace cuda

Result<NcclId> new_nccl_id() {
  TRY(const cuda::Nccl nccl, cuda::open_nccl());
  cuda::NcclUniqueId unique;
  TRY(cuda::said(nccl, nccl.get_unique_id(&unique), "start"));
  NcclId id;
  std::memcpy(id.data(), unique.bytes, id.size());
  return id;
}

Result<std::unique_ptr<Collective>> nccl_collective(Gpu& gpu, int rank, int size,
                                                    const NcclId& id) {
  TRY(const cuda::Nccl nccl, cuda::open_nccl());
  auto made =
      std::make_unique<cuda::NcclCollective>(nccl, static_cast<cuda::Device&>(gpu), rank, size);
  TRY(made->join(id));
  return std::unique_ptr<Collective>(std::move(made));
}

}  // namespace hachi::ops
