#include "quantize/plan.h"

#include <algorithm>

#include "formats/gguf.h"
#include "kernels/panels.h"
#include "quantize/blocks.h"
#include "tokenizer/regex.h"

namespace hachi::quantize {
namespace {

class Overrides {
 public:
  static Result<Overrides> compile(const std::vector<TypeOverride>& given) {
    Overrides overrides;
    for (const TypeOverride& one : given) {
      auto regex = tokenizer::Regex::compile(one.pattern);
      if (!regex) {
        return fail(Code::kInvalidArgument, "--tensor {}: not a regular expression: {}",
                    one.pattern, regex.error().message);
      }
      overrides.rules_.push_back({one, *std::move(regex), false});
    }
    return overrides;
  }

  std::optional<DType> type_of(std::string_view name) {
    for (Rule& rule : rules_) {
      if (!rule.regex.find(name, 0, search_).matched) continue;
      rule.used = true;
      return rule.given.type;
    }
    return std::nullopt;
  }

  // A pattern that changes nothing is a slip of the pen.
  Result<void> check_used() const {
    for (const Rule& rule : rules_) {
      if (rule.used) continue;
      return fail(Code::kInvalidArgument,
                  "--tensor {}={}: no matrix of the model has such a name, or a rule before it "
                  "takes them all",
                  rule.given.pattern, name(rule.given.type));
    }
    return {};
  }

 private:
  struct Rule {
    TypeOverride given;
    tokenizer::Regex regex;
    bool used;
  };
  std::vector<Rule> rules_;
  tokenizer::Regex::Search search_;
};

bool is_plain(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

DType planned_type(const SourceTensor& tensor, const model::FileType* file,
                   const model::MixtureModel& model, const PlanOptions& options,
                   Overrides& overrides) {
  const DType stored = tensor.weight.values.dtype();
  if (!model::is_quantized_tensor(tensor.name, static_cast<int>(tensor.sizes.size())) ||
      stored == DType::kI32) {
    return stored;
  }
  const int64_t row = tensor.columns();
  const auto chosen = overrides.type_of(tensor.name);
  if (chosen) return model::type_that_fits(*chosen, row);
  const bool embedding = tensor.name == "token_embd.weight";
  const bool output = tensor.name == "output.weight" || (embedding && model.tied_head);
  if (embedding && options.embedding_type)
    return model::type_that_fits(*options.embedding_type, row);
  if (output && options.output_type) return model::type_that_fits(*options.output_type, row);
  if (file == nullptr) return stored;
  return model::type_that_fits(model::mixture_type(*file, model, tensor.name, row), row);
}

// A table that is only looked up in is read row by row.
bool goes_into_panels(const SourceTensor& tensor, DType type, const model::MixtureModel& model) {
  return tensor.sizes.size() == 2 && model::is_quantized_tensor(tensor.name, 2) &&
         (tensor.name != "token_embd.weight" || model.tied_head) &&
         ops::has_panels(type, tensor.columns());
}

// The embedding is looked up, not multiplied, and no importance of it is ever measured; where it is
// the output matrix too it has so many bits that none is needed.
bool lives_without_importance(std::string_view name) {
  return name == "token_embd.weight" || name == "output.weight";
}

Result<void> add_importance(PlannedTensor& planned, const PlanOptions& options, bool needs_all) {
  const SourceTensor& tensor = *planned.tensor;
  if (is_plain(planned.type) || tensor.is_stored_as(planned.type)) return {};
  if (!can_quantize(planned.type)) {
    return fail(Code::kUnsupported, "{}: Hachi does not write the type {}", tensor.name,
                name(planned.type));
  }
  const auto columns = static_cast<size_t>(tensor.columns());
  if (options.importance != nullptr) {
    const auto found = options.importance->matrices.find(tensor.name);
    if (found != options.importance->matrices.end()) {
      if (found->second.sums.size() != columns) {
        return fail(Code::kInvalidArgument,
                    "{} has {} inputs and the importance matrix has {}: it was made of another "
                    "model",
                    tensor.name, columns, found->second.sums.size());
      }
      planned.importance = found->second.means();
      return {};
    }
  }
  if (!needs_all || !needs_importance(planned.type) || lives_without_importance(tensor.name)) {
    return {};
  }
  return fail(Code::kInvalidArgument,
              "{}: {} needs the importance of its inputs, and {}; measure it with `hachi imatrix` "
              "and give the file with --imatrix",
              tensor.name, name(planned.type),
              options.importance == nullptr ? "there is none" : "the importance matrix has none");
}

}  // namespace

uint64_t PlannedTensor::bytes() const {
  return static_cast<uint64_t>(tensor->rows() * row_bytes(type, tensor->columns()));
}

uint64_t Plan::bytes() const {
  uint64_t bytes = 0;
  for (const PlannedTensor& tensor : tensors) bytes += tensor.bytes();
  return bytes;
}

double Plan::bits_per_weight() const {
  double weights = 0;
  for (const PlannedTensor& planned : tensors) {
    weights += static_cast<double>(planned.tensor->elements());
  }
  return 8 * static_cast<double>(bytes()) / weights;
}

Result<Plan> make_plan(const Source& source, const model::FileType* file,
                       const PlanOptions& options, bool needs_all) {
  model::MixtureModel model = source.model;
  model.has_importance = options.importance != nullptr;
  TRY(Overrides overrides, Overrides::compile(options.overrides));
  Plan plan;
  plan.file = file;
  for (const SourceTensor& tensor : source.tensors) {
    PlannedTensor planned{&tensor, planned_type(tensor, file, model, options, overrides), {}};
    if (!formats::gguf_type_number(planned.type)) {
      return fail(Code::kUnsupported, "{}: GGUF has no {}; name the type that it shall become",
                  tensor.name, name(planned.type));
    }
    planned.panels = options.panels && goes_into_panels(tensor, planned.type, model);
    TRY(add_importance(planned, options, needs_all));
    plan.tensors.push_back(std::move(planned));
  }
  TRY(overrides.check_used());
  return plan;
}

}  // namespace hachi::quantize
