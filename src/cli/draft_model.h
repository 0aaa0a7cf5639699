// The model of --draft: smaller, of the same vocabulary, beside each copy of the one that is
// served, for which it guesses (engine/draft.h).
#pragma once

#include <memory>
#include <optional>

#include "cli/serve_models.h"

namespace hachi::cli {

struct DraftPlan {
  uint64_t weight_bytes = 0;
  uint64_t kv_cache_bytes = 0;
  uint64_t work_bytes = 0;  // on a GPU: for all else
  int64_t cache_tokens = 0;
};

// Fails if --draft names no model, or one of another vocabulary than `large` has; reads none of its
// weights. `context`: tokens of a request.
Result<DraftPlan> plan_draft(const ServeModelOptions& options, const model::ModelConfig& large,
                             int64_t context);

struct OpenedDraft {
  std::shared_ptr<const formats::Checkpoint> checkpoint;
  model::Model model;
};

// To `gpu`, or null: the processor.
Result<OpenedDraft> open_draft(const ServeModelOptions& options, ops::Gpu* gpu);
Result<std::unique_ptr<engine::StepModel>> make_draft_runner(const OpenedDraft& opened,
                                                             const DraftPlan& plan,
                                                             const ServeModelOptions& options,
                                                             ops::Gpu* gpu);

}  // namespace hachi::cli
