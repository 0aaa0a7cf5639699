#include "quantize/write_model.h"

#include <algorithm>

#include "kernels/panels.h"
#include "quantize/encode_rows.h"

namespace hachi::quantize {
namespace {

using formats::GgufTensor;
using formats::GgufWriter;

// Elements that are encoded between two writes: 64 MB as floats if they were kept, which they are
// not; far more rows than there are threads.
constexpr int64_t kPieceElements = int64_t{1} << 24;

// A mapped file's panels are multiplied where they lie: no load of a vector crosses a cache line.
constexpr uint64_t kPanelAlignment = 64;

class ModelWriter {
 public:
  ModelWriter(GgufWriter& file, ThreadPool& pool, const WriteOptions& options)
      : file_(file), pool_(pool), options_(options) {}

  Result<void> write(const PlannedTensor& planned);

 private:
  using Blocks = std::vector<std::byte>;

  Result<void> copy(const PlannedTensor& planned);
  Result<void> convert(const PlannedTensor& planned, const Blocks* chosen);
  Result<const std::byte*> rows(const PlannedTensor& planned, int64_t first, int64_t count);

  GgufWriter& file_;
  ThreadPool& pool_;
  const WriteOptions& options_;
  Blocks rows_;
  Blocks panels_;
};

// What lies in the source as it shall lie in the file.
Result<void> ModelWriter::copy(const PlannedTensor& planned) {
  constexpr uint64_t kPieceBytes = uint64_t{1} << 26;
  const ops::Weight& weight = planned.tensor->weight;
  std::span<const std::byte> bytes(weight.values.data(), planned.bytes());
  if (planned.panels) {
    const int64_t size =
        ops::panels_bytes(planned.type, weight.values.size(0), weight.values.size(1));
    bytes = {weight.panels, static_cast<size_t>(size)};
  }
  while (!bytes.empty()) {
    TRY(check_stop(options_.should_stop));
    const auto piece = bytes.first(std::min<uint64_t>(kPieceBytes, bytes.size()));
    TRY(file_.write(piece));
    bytes = bytes.subspan(piece.size());
  }
  return {};
}

// Rows in the type that they shall have: where they lie, or in rows_.
Result<const std::byte*> ModelWriter::rows(const PlannedTensor& planned, int64_t first,
                                           int64_t count) {
  const SourceTensor& tensor = *planned.tensor;
  const bool stored = tensor.is_stored_as(planned.type);
  if (stored && tensor.in_order() && tensor.weight.values) return tensor.weight.values.row(first);
  rows_.resize(static_cast<size_t>(count * row_bytes(planned.type, tensor.columns())));
  if (stored) {
    copy_rows(tensor, first, count, rows_.data());
    return rows_.data();
  }
  const float* importance = planned.importance.empty() ? nullptr : planned.importance.data();
  TRY(encode_rows(tensor, planned.type, importance, first, count, pool_, rows_.data()));
  return rows_.data();
}

// `chosen`: all rows in the type that they shall have, or none to make them of the source.
Result<void> ModelWriter::convert(const PlannedTensor& planned, const Blocks* chosen) {
  const int64_t columns = planned.tensor->columns();
  const int64_t bytes = row_bytes(planned.type, columns);
  const int64_t step = (std::max<int64_t>(1, kPieceElements / columns) + ops::kPanelRows - 1) /
                       ops::kPanelRows * ops::kPanelRows;
  for (int64_t first = 0; first < planned.tensor->rows(); first += step) {
    TRY(check_stop(options_.should_stop));
    const int64_t count = std::min(step, planned.tensor->rows() - first);
    const std::byte* from = nullptr;
    if (chosen != nullptr) {
      from = chosen->data() + first * bytes;
    } else {
      TRY(from, rows(planned, first, count));
    }
    if (!planned.panels) {
      TRY(file_.write({from, static_cast<size_t>(count * bytes)}));
      continue;
    }
    panels_.resize(static_cast<size_t>(ops::panels_bytes(planned.type, count, columns)));
    ops::pack_panels(pool_, ConstTensor(from, planned.type, {count, columns}), panels_.data());
    TRY(file_.write(panels_));
  }
  return {};
}

Result<void> ModelWriter::write(const PlannedTensor& planned) {
  TRY(check_stop(options_.should_stop));
  const Blocks* chosen = nullptr;
  if (options_.gptq != nullptr) {
    TRY(chosen, options_.gptq->blocks_of(planned));
  }
  const SourceTensor& tensor = *planned.tensor;
  const bool in_place = tensor.is_stored_as(planned.type) && tensor.in_order() &&
                        (tensor.weight.panels != nullptr) == planned.panels;
  return chosen == nullptr && in_place ? copy(planned) : convert(planned, chosen);
}

formats::GgufPairList pairs_of(const Source& source, const Plan& plan) {
  constexpr uint32_t kQuantizationVersion = 2;  // ggml's, of the layouts of its blocks
  formats::GgufPairList pairs = source.pairs;
  pairs.set("general.quantization_version", kQuantizationVersion);
  if (plan.file != nullptr) pairs.set("general.file_type", plan.file->number);
  return pairs;
}

}  // namespace

Result<uint64_t> write_model(const Source& source, const Plan& plan,
                             const std::filesystem::path& path, ThreadPool& pool,
                             const WriteOptions& options) {
  std::vector<GgufTensor> tensors;
  bool in_panels = false;
  for (const PlannedTensor& planned : plan.tensors) {
    tensors.push_back({planned.tensor->name, planned.type, planned.tensor->sizes, planned.panels});
    in_panels = in_panels || planned.panels;
  }
  const uint64_t alignment = in_panels ? kPanelAlignment : formats::kGgufAlignment;
  TRY(GgufWriter file,
      GgufWriter::create(path, pairs_of(source, plan), std::move(tensors), alignment));
  ModelWriter writer(file, pool, options);
  uint64_t done = 0;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    if (options.progress) options.progress(plan, i, done);
    TRY(writer.write(plan.tensors[i]));
    done += plan.tensors[i].bytes();
  }
  if (options.progress) options.progress(plan, plan.tensors.size(), done);
  TRY(file.finish());
  return file.file_bytes();
}

}  // namespace hachi::quantize
