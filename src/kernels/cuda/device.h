// The GPU behind ops::Gpu, and what the ops on it share.
#pragma once

#include <array>
#include <cuda_runtime_api.h>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/check.h"
#include "kernels/cuda/batch_matmul.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/types.h"
#include "kernels/gpu.h"

// For calls that fail only by our own mistake, or when the GPU is lost.
#define HACHI_CUDA(call)                                                  \
  do {                                                                    \
    if (const cudaError_t status = (call); status != cudaSuccess) {       \
      ::hachi::ops::cuda::call_failed(__FILE__, __LINE__, #call, status); \
    }                                                                     \
  } while (0)

namespace hachi::ops::cuda {

[[noreturn]] void call_failed(const char* file, int line, const char* call, cudaError_t status);

// Memory that ops use within one call or from step to step. It only grows; growing it invalidates
// the graphs that know its address.
struct Scratch {
  std::byte* data = nullptr;
  uint64_t bytes = 0;
};

class Device final : public Gpu {
 public:
  static Result<std::unique_ptr<Gpu>> create(const GpuOptions& options);
  ~Device() override;

  const GpuInfo& info() const override { return info_; }
  uint64_t memory_limit() const override { return limit_; }
  uint64_t memory_used() const override { return used_; }
  Result<std::byte*> allocate(uint64_t bytes) override;
  void free(std::byte* data, uint64_t bytes) override;
  bool pin(std::byte* host, uint64_t bytes) override;
  void unpin(std::byte* host) override;
  void upload(std::byte* to, const std::byte* from, uint64_t bytes) override;
  void download(std::byte* to, const std::byte* from, uint64_t bytes) override;
  void queue_upload(std::byte* to, const std::byte* from, uint64_t bytes) override;
  void queue_download(std::byte* to, const std::byte* from, uint64_t bytes) override;
  void queue_download_beside(std::byte* to, const std::byte* from, uint64_t bytes) override;
  void join_beside() override;
  void zero(std::byte* data, uint64_t bytes) override;
  void wait() override;
  std::unique_ptr<GpuPoints> make_points() override;
  void begin_step(const BatchView& batch) override;
  void replay(const ReplayKey& key, const std::function<void()>& work) override;
  void forget(const void* owner) override;
  Result<GpuLimits> measure_limits() override;
  void begin_marks() override;
  void mark() override;
  std::vector<double> end_marks() override;

  // Makes it the calling thread's, which all that follows in CUDA is about.
  void use() const { HACHI_CUDA(cudaSetDevice(info_.index)); }

  Stream stream() const { return stream_; }
  GemmLibrary& gemm() { return *gemm_; }

  // Brings `bytes` that fill(std::byte*) writes to the GPU. They arrive before what is queued next.
  template <class Fill>
  void send(std::byte* to, uint64_t bytes, const Fill& fill) {
    std::byte* data = pinned(bytes);
    fill(data);
    send_pinned(to, bytes);
  }

  // Where kernels can write the processor's memory: there, if it is pinned, else null.
  static std::byte* mapped(std::byte* host);

  // Of begin_step().
  const DeviceBatch& batch() const { return batch_; }
  bool one_token_each() const { return batch_.num_tokens == batch_.num_sequences; }
  int64_t num_singles() const { return num_singles_; }  // of the first sequences, one token each
  bool deterministic() const { return deterministic_; }
  // Where the tokens are that were drawn last, by the rows of their logits.
  void remember_drawn(const int32_t* tokens) { drawn_ = tokens; }
  int64_t max_context() const { return max_context_; }  // the largest position plus one

  // The same numbers in the GPU's memory; copied when they are first seen.
  const float* constants(std::span<const float> values);

  // At least that many bytes with any content; `workspace` is zero when it is new.
  std::byte* scratch(uint64_t bytes) {
    left_ = {};
    return grown(scratch_, bytes);
  }
  std::byte* workspace(uint64_t bytes) { return grown(workspace_, bytes); }

  // Operands of products of few rows that a kernel has left, or will leave, for activations that
  // begin at `source`: x times `norm`, if that is there.
  static constexpr int64_t kMaxOperand = int64_t{4} << 20;  // elements
  struct Staged {
    const void* source = nullptr;
    const float* norm = nullptr;
    int64_t rows = 0;
    Operand operand;
    bool valid = false;

    Operand as_read() const {
      Operand read = operand;
      if (norm == nullptr) read.squares = nullptr;
      return read;
    }
  };
  // The operand, if it is there.
  std::optional<Operand> staged(const void* source, const float* norm, int64_t rows,
                                OperandType type) const;
  // Where to leave it; it counts as there from now on.
  Operand stage_for(const void* source, const float* norm, int64_t rows, OperandType type);
  // Activations [rows,C] that an op has left for the one product that reads what begins at
  // `source`, and nowhere else: in e4m3, in scratch(), or as the gate and up of which they are
  // still to be made.
  struct Left {
    const void* source = nullptr;
    int64_t rows = 0;
    Quantized e4m3;
    RowSource gated;
  };
  void leave(const Left& left) { left_ = left; }
  std::optional<Left> left(const void* source, int64_t rows) const {
    return left_.source == source && left_.rows == rows ? std::optional(left_) : std::nullopt;
  }
  // The activations that begin there have been written since.
  void written(const void* source);

 private:
  explicit Device(GpuInfo info) : info_(std::move(info)) {}
  std::byte* grown(Scratch& scratch, uint64_t bytes);
  void drop_graphs();
  std::byte* pinned(uint64_t bytes);
  void send_pinned(std::byte* to, uint64_t bytes);

  static constexpr size_t kSlots = 4;
  static constexpr size_t kPinned = 4;
  using Slots = std::array<Staged, kSlots>;

  struct Graph {
    ReplayKey key;
    cudaGraphExec_t graph = nullptr;  // null: ran once, not yet kept
    Slots slots;                      // as the work left them
  };

  // Numbers of a step on their way to the GPU.
  struct Pinned {
    std::byte* data = nullptr;
    uint64_t bytes = 0;
    cudaEvent_t sent = nullptr;
  };

  GpuInfo info_;
  bool deterministic_ = false;
  uint64_t limit_ = 0;
  uint64_t used_ = 0;
  cudaStream_t stream_ = nullptr;
  cudaStream_t beside_ = nullptr;  // for copies
  cudaEvent_t fork_ = nullptr, join_ = nullptr;
  bool is_forked_ = false;
  std::unique_ptr<GemmLibrary> gemm_;
  DeviceBatch batch_;
  int64_t max_context_ = 0;
  int64_t num_singles_ = 0;
  std::vector<int32_t> first_page_;  // of the sequences of batch_
  Scratch scratch_;
  Scratch workspace_;
  Scratch numbers_;  // of batch_
  std::byte* operands_ = nullptr;
  Left left_;
  Slots slots_;
  size_t next_slot_ = 0;
  std::array<Pinned, kPinned> pinned_;
  size_t next_pinned_ = 0;
  std::vector<Graph> graphs_;
  const int32_t* drawn_ = nullptr;
  std::vector<cudaEvent_t> marks_;  // only grow
  size_t num_marks_ = 0;
  std::map<std::vector<float>, std::byte*> constants_;
};

inline Device& device_of(const Context& ctx) {
  CHECK(ctx.gpu != nullptr);
  return static_cast<Device&>(*ctx.gpu);
}

}  // namespace hachi::ops::cuda
