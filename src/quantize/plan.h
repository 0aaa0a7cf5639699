// Which type each tensor of a source gets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/result.h"
#include "model/mixture.h"
#include "quantize/importance.h"
#include "quantize/source.h"

namespace hachi::quantize {

struct TypeOverride {
  std::string pattern;  // a regular expression that is found anywhere in the tensor's name
  DType type;
};

struct PlanOptions {
  std::vector<TypeOverride> overrides;  // the first that matches wins
  std::optional<DType> output_type;     // of the output matrix, tied or not
  std::optional<DType> embedding_type;  // of the token embedding
  const Importance* importance = nullptr;
  bool panels = false;  // matrices that products read lie in panels (formats/gguf.h)
};

struct PlannedTensor {
  const SourceTensor* tensor;
  DType type;
  std::vector<float> importance;  // [columns], or empty
  bool panels = false;

  uint64_t bytes() const;  // of its rows
};

struct Plan {
  const model::FileType* file = nullptr;  // none: each tensor keeps its type
  std::vector<PlannedTensor> tensors;     // in the order of the source, which outlives the plan

  uint64_t bytes() const;
  // Of all that the types of matrices take, divided by their weights.
  double bits_per_weight() const;
};

// `file`: none to keep the type that each tensor has, but for overrides.
//
// Fails with kInvalidArgument for a pattern that is none or matches no matrix, for a type that
// cannot be written, for an importance matrix of another model; and with `needs_all` for a type
// that needs the importance of a matrix that there is none of.
Result<Plan> make_plan(const Source& source, const model::FileType* file,
                       const PlanOptions& options, bool needs_all);

}  // namespace hachi::quantize
