// ModelRunner: a model with all that it needs to run batches: threads, the memory of the KV cache,
// activations, logits. Who holds which page is for its user to know.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "core/thread_pool.h"
#include "engine/step_model.h"
#include "kernels/context.h"
#include "kernels/gpu.h"
#include "kernels/memory.h"
#include "model/model.h"

namespace hachi::engine {

struct RunnerOptions {
  int threads = 0;  // 0: as many as this process may use
  Pinning pinning = Pinning::kFree;
  int64_t cache_tokens = 0;  // that fit into the KV cache, of all sequences together; at least 1
  int64_t max_tokens = 256;  // of a batch
  int64_t max_rows = 16;     // of logits at once
  int64_t host_pages = 0;    // of the processor's memory, into which pages can move
  DType kv_dtype = DType::kF16;  // as KvCache::allocate() has it
  ops::Device device = ops::Device::kCpu;
  ops::Gpu* gpu = nullptr;  // for kCuda: where the model's weights are; outlives the runner
  ops::Collective* collective = nullptr;  // of a model that is a shard; outlives the runner
};

class ModelRunner : public StepModel {
 public:
  // The model outlives it.
  ~ModelRunner() override;
  // What a runner takes of a GPU's memory beside the weights and the cache, at most.
  static uint64_t gpu_work_bytes(const model::ModelConfig& config, const RunnerOptions& options);
  static Result<std::unique_ptr<ModelRunner>> create(const model::Model& model,
                                                     const RunnerOptions& options);

  int64_t vocab_size() const override { return model_->config().vocab_size; }
  int64_t hidden_size() const override { return model_->config().hidden_size; }
  int64_t context_length() const override { return model_->config().context_length; }
  int64_t page_tokens() const override { return model::KvCache::kPageTokens; }
  int64_t num_pages() const override { return cache_.num_pages(); }
  int64_t max_tokens() const override { return max_tokens_; }
  int64_t max_rows() const override { return max_rows_; }

  void forward(const ops::BatchView& batch) override;
  ConstTensor logits(std::span<const int64_t> rows) override;
  bool draws() const override;
  bool runs_ahead() const override { return draws(); }
  void queue_draw(std::span<const int64_t> rows,
                  std::span<const std::optional<ops::DrawRow>> how) override;
  Drawn drawn() override;
  void set_draft(std::unique_ptr<StepModel> draft) { draft_ = std::move(draft); }
  StepModel* draft() override { return draft_.get(); }
  // A draft works while this model waits for its guesses: its time is the device's, too.
  DeviceTime device_time() const override;
  void rest() override { was_resting_ = true; }
  ConstTensor hidden(std::span<const int64_t> rows) override;
  ThreadPool& pool() override { return *pool_; }

  int64_t num_host_pages() const override { return host_pages_; }
  double page_copy_seconds() const override { return page_copy_seconds_; }
  void save_pages(std::span<const model::PageCopy> copies) override;
  void save_pages_beside(std::span<const model::PageCopy> copies) override;
  void load_pages(std::span<const model::PageCopy> copies) override;

  // What another rank than the first does when that asks for logits of these rows of the last
  // batch, and draws tokens from them if `draws` (tensor_parallel.h).
  void follow_head(std::span<const int64_t> rows, bool draws);

  // For who fills the cache by other means than forward().
  ops::Context& context() { return ctx_; }
  const model::KvCache& cache() const { return cache_; }

 private:
  ModelRunner(const model::Model& model, const RunnerOptions& options);

  Result<void> allocate(const RunnerOptions& options);
  Result<void> allocate_host_pages(int64_t count);
  void time_page_copies();
  // Rows of the residual stream, together.
  Tensor gather(std::span<const int64_t> rows);
  // The logits, where the model is.
  Tensor run_head(std::span<const int64_t> rows);
  ConstTensor on_host(ConstTensor x);
  // What is asked for next finds copies done that were made beside the last step.
  void join_copies();
  // The GPU works on a part of a step from here on, or to here.
  void begin_part();
  void end_part();
  // Those that ended before a point that was reached.
  void count_parts(uint64_t reached);

  const model::Model* model_;
  std::unique_ptr<StepModel> draft_;
  int64_t max_tokens_;
  int64_t max_rows_;
  std::unique_ptr<ThreadPool> pool_;
  ops::Context ctx_;
  model::KvCache cache_;
  int64_t host_pages_ = 0;
  double page_copy_seconds_ = 0;
  ops::HostMemory host_cache_;       // [host_pages_], pages of the cache
  bool copies_beside_next_ = false;  // forward() is the one that copies run beside
  ops::Memory memory_;
  model::Activations activations_;
  int64_t num_tokens_ = 0;  // of the last forward()
  ops::Memory rows_memory_;
  Tensor gathered_;              // [max_rows, C]
  Tensor normed_;                // [max_rows, C]
  Tensor logits_;                // [max_rows, V]
  ops::HostMemory host_memory_;  // with a GPU: [max_rows, V or C], drawn_, and logprobs_
  // If it draws:
  ops::Memory draw_memory_;
  std::span<int32_t> drawn_;                // tokens in the order of asked_
  std::span<ops::TokenLogprobs> logprobs_;  // the same
  std::vector<ops::DrawRow> asked_;         // of the last queue_draw()
  std::vector<int32_t> tokens_;             // [max_rows]
  std::vector<ops::TokenLogprobs> by_row_;  // [max_rows]
  size_t num_rows_ = 0;                     // of the last queue_draw()
  std::unique_ptr<ops::GpuPoints> points_;  // with a GPU
  uint64_t answer_point_ = 0;               // where its answer is there

  // Points of the GPU's queue between which it works on a part of a step.
  struct Part {
    uint64_t begin, end;
    bool follows;  // another part, at once
  };
  static constexpr size_t kMaxParts = 6;
  std::vector<Part> parts_;  // that are not counted yet
  uint64_t last_end_ = 0;
  bool was_resting_ = true;
  DeviceTime device_time_;
};

}  // namespace hachi::engine
