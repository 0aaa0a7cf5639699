// Tensor parallelism: a model whose matrices are divided among ranks (model/shard.h), as the engine
// sees it on rank 0: one model. It orders each step on the other ranks, which follow() it, and runs
// its own part; what the parts tell each other goes through ops::Collective. The pages of the cache
// have the same numbers on all ranks.
#pragma once

#include <memory>
#include <vector>

#include "core/result.h"
#include "engine/model_runner.h"
#include "engine/rank_group.h"
#include "engine/step_model.h"
#include "kernels/collective.h"

namespace hachi::engine {

// How the ranks of a group compute together: NCCL if all have a GPU, else TCP. Called by all of
// them. Fails if only some have a GPU. The group outlives it.
Result<std::unique_ptr<ops::Collective>> make_collective(RankGroup& group, ops::Gpu* gpu);

// Called by all ranks before they make their runners: fails with kInvalidArgument if they do not
// run the same model with the same options.
Result<void> check_alike(RankGroup& group, const model::ModelConfig& config,
                         const RunnerOptions& options);

class LeadingModel : public StepModel {
 public:
  // `own` is rank 0's part. The group outlives it.
  LeadingModel(RankGroup& group, std::unique_ptr<ModelRunner> own);
  // The other ranks' follow() returns.
  ~LeadingModel() override;

  ModelRunner& own() { return *own_; }

  int64_t vocab_size() const override { return own_->vocab_size(); }
  int64_t hidden_size() const override { return own_->hidden_size(); }
  int64_t context_length() const override { return own_->context_length(); }
  int64_t page_tokens() const override { return own_->page_tokens(); }
  int64_t num_pages() const override { return own_->num_pages(); }
  int64_t max_tokens() const override { return own_->max_tokens(); }
  int64_t max_rows() const override { return own_->max_rows(); }

  void forward(const ops::BatchView& batch) override;
  ConstTensor logits(std::span<const int64_t> rows) override;
  bool draws() const override { return own_->draws(); }
  bool runs_ahead() const override { return own_->runs_ahead(); }
  void queue_draw(std::span<const int64_t> rows,
                  std::span<const std::optional<ops::DrawRow>> how) override;
  Drawn drawn() override { return own_->drawn(); }
  DeviceTime device_time() const override { return own_->device_time(); }
  void rest() override { own_->rest(); }
  // The residual stream is whole on each rank.
  ConstTensor hidden(std::span<const int64_t> rows) override { return own_->hidden(rows); }
  StepModel* draft() override { return own_->draft(); }
  int64_t num_host_pages() const override { return own_->num_host_pages(); }
  double page_copy_seconds() const override { return own_->page_copy_seconds(); }
  void save_pages(std::span<const model::PageCopy> copies) override;
  void save_pages_beside(std::span<const model::PageCopy> copies) override;
  void load_pages(std::span<const model::PageCopy> copies) override;
  ThreadPool& pool() override { return own_->pool(); }

 private:
  void order_rows(int32_t kind, std::span<const int64_t> rows);
  void order_copies(int32_t kind, std::span<const model::PageCopy> copies);

  RankGroup* group_;
  std::unique_ptr<ModelRunner> own_;
  std::vector<int32_t> words_;
};

// On the other ranks: runs what rank 0 orders, until it is done with this model. Fails with
// kCorrupt on an order that cannot be.
Result<void> follow(RankGroup& group, ModelRunner& own);

}  // namespace hachi::engine
