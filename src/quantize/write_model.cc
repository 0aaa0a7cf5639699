#include "quantize/write_model.h"

#include <algorithm>

#include "quantize/encode_rows.h"

namespace hachi::quantize {
namespace {

using formats::GgufTensor;
using formats::GgufWriter;

// Elements that are encoded between two writes: 64 MB as floats if they were kept, which they are
// not; far more rows than there are threads.
constexpr int64_t kPieceElements = int64_t{1} << 24;

class ModelWriter {
 public:
  ModelWriter(GgufWriter& file, ThreadPool& pool, const WriteOptions& options)
      : file_(file), pool_(pool), options_(options) {}

  Result<void> write(const PlannedTensor& planned);

 private:
  Result<void> copy(const PlannedTensor& planned);
  Result<void> encode(const PlannedTensor& planned);

  GgufWriter& file_;
  ThreadPool& pool_;
  const WriteOptions& options_;
  std::vector<std::byte> piece_;
};

Result<void> ModelWriter::copy(const PlannedTensor& planned) {
  constexpr uint64_t kPieceBytes = uint64_t{1} << 26;
  std::span<const std::byte> bytes(planned.tensor->weight.values.data(), planned.bytes());
  while (!bytes.empty()) {
    TRY(check_stop(options_.should_stop));
    const auto piece = bytes.first(std::min<uint64_t>(kPieceBytes, bytes.size()));
    TRY(file_.write(piece));
    bytes = bytes.subspan(piece.size());
  }
  return {};
}

Result<void> ModelWriter::encode(const PlannedTensor& planned) {
  const int64_t rows = planned.tensor->rows();
  const int64_t bytes = row_bytes(planned.type, planned.tensor->columns());
  const float* importance = planned.importance.empty() ? nullptr : planned.importance.data();
  const int64_t step = std::max<int64_t>(1, kPieceElements / planned.tensor->columns());
  for (int64_t first = 0; first < rows; first += step) {
    TRY(check_stop(options_.should_stop));
    const int64_t count = std::min(step, rows - first);
    piece_.resize(static_cast<size_t>(count * bytes));
    TRY(encode_rows(*planned.tensor, planned.type, importance, first, count, pool_, piece_.data()));
    TRY(file_.write(piece_));
  }
  return {};
}

Result<void> ModelWriter::write(const PlannedTensor& planned) {
  TRY(check_stop(options_.should_stop));
  if (options_.gptq != nullptr) {
    TRY(const auto* blocks, options_.gptq->blocks_of(planned));
    if (blocks != nullptr) return file_.write(*blocks);
  }
  return planned.tensor->is_stored_as(planned.type) ? copy(planned) : encode(planned);
}

formats::GgufPairList pairs_of(const Source& source, const Plan& plan) {
  constexpr uint32_t kQuantizationVersion = 2;  // ggml's, of the layouts of its blocks
  formats::GgufPairList pairs = source.pairs;
  pairs.set("general.quantization_version", kQuantizationVersion);
  pairs.set("general.file_type", plan.file->number);
  return pairs;
}

}  // namespace

Result<uint64_t> write_model(const Source& source, const Plan& plan,
                             const std::filesystem::path& path, ThreadPool& pool,
                             const WriteOptions& options) {
  std::vector<GgufTensor> tensors;
  for (const PlannedTensor& planned : plan.tensors) {
    tensors.push_back({planned.tensor->name, planned.type, planned.tensor->sizes});
  }
  TRY(GgufWriter file, GgufWriter::create(path, pairs_of(source, plan), std::move(tensors)));
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
