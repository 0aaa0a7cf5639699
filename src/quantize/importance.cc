#include "quantize/importance.h"

#include <cmath>
#include <cstring>

#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "formats/printable.h"

namespace hachi::quantize {
namespace {

using formats::Checkpoint;
using formats::GgufTensor;
using formats::printable;
using formats::TensorEntry;

constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
constexpr float kMaxTokens = 1e15f;

Result<void> check_file_type(const Checkpoint& file) {
  if (file.kind() == formats::Kind::kGguf) {
    TRY(const auto type, file.metadata().string("general.type"));
    if (type == "imatrix") return {};
  }
  return fail(Code::kInvalidArgument,
              "{}: not an importance matrix (general.type is not 'imatrix'); make one with `hachi "
              "imatrix`",
              file.path().string());
}

// The tensor, F32 with one row for the one matrix that it is about.
Result<std::vector<float>> read_floats(const Checkpoint& file, const TensorEntry& entry) {
  const ConstTensor& data = entry.data;
  if (data.dtype() != DType::kF32 || data.rank() > 2) {
    return fail(Code::kCorrupt, "{}: {} must be F32 with one or two dimensions",
                file.path().string(), printable(entry.name));
  }
  if (data.rank() == 2 && data.size(0) != 1) {
    return fail(Code::kUnsupported, "{}: {} is about {} experts, which Hachi does not quantize",
                file.path().string(), printable(entry.name), data.size(0));
  }
  std::vector<float> values(static_cast<size_t>(data.size(data.rank() - 1)));
  std::memcpy(values.data(), data.data(), values.size() * sizeof(float));
  for (const float value : values) {
    if (std::isfinite(value) && value >= 0) continue;
    return fail(Code::kCorrupt, "{}: {} holds {}, and must hold sums of squares",
                file.path().string(), printable(entry.name), value);
  }
  return values;
}

}  // namespace

std::vector<float> InputSquares::means() const {
  std::vector<float> means = sums;
  // A matrix that no token reached has no reason to prefer a column.
  if (tokens == 0) return std::vector<float>(sums.size(), 1.0f);
  for (float& mean : means) mean /= static_cast<float>(tokens);
  return means;
}

Result<void> write_importance(const std::filesystem::path& path, const Importance& importance) {
  formats::GgufPairList pairs;
  pairs.set("general.type", "imatrix");
  pairs.set_list("imatrix.datasets", importance.datasets);
  pairs.set("imatrix.chunk_count", static_cast<uint32_t>(importance.num_chunks));
  pairs.set("imatrix.chunk_size", static_cast<uint32_t>(importance.chunk_size));
  std::vector<GgufTensor> tensors;
  for (const auto& [name, squares] : importance.matrices) {
    const auto inputs = static_cast<int64_t>(squares.sums.size());
    tensors.push_back({name + std::string(kSums), DType::kF32, {1, inputs}});
    tensors.push_back({name + std::string(kCounts), DType::kF32, {1, 1}});
  }
  TRY(auto writer, formats::GgufWriter::create(path, pairs, std::move(tensors)));
  for (const auto& [name, squares] : importance.matrices) {
    TRY(writer.write(std::as_bytes(std::span(squares.sums))));
    const auto count = static_cast<float>(squares.tokens);
    TRY(writer.write(std::as_bytes(std::span(&count, 1))));
  }
  return writer.finish();
}

Result<Importance> read_importance(const std::filesystem::path& path) {
  TRY(const Checkpoint file, Checkpoint::open(path));
  TRY(check_file_type(file));
  Importance importance;
  TRY(const auto chunks, file.metadata().integer("imatrix.chunk_count"));
  TRY(const auto chunk_size, file.metadata().integer("imatrix.chunk_size"));
  importance.num_chunks = chunks.value_or(0);
  importance.chunk_size = chunk_size.value_or(0);
  if (const auto* datasets = file.metadata().strings("imatrix.datasets")) {
    importance.datasets.assign(datasets->begin(), datasets->end());
  }
  for (const TensorEntry& entry : file.tensors()) {
    if (!entry.name.ends_with(kSums)) continue;
    const std::string name(entry.name.substr(0, entry.name.size() - kSums.size()));
    const TensorEntry* counts = file.find(name + std::string(kCounts));
    if (counts == nullptr) {
      return fail(Code::kCorrupt, "{}: {} has no {} beside it", path.string(),
                  printable(entry.name), kCounts);
    }
    InputSquares squares;
    TRY(squares.sums, read_floats(file, entry));
    TRY(const std::vector<float> count, read_floats(file, *counts));
    if (count.size() != 1 || count[0] > kMaxTokens) {
      return fail(Code::kCorrupt, "{}: {} must hold one number of tokens", path.string(),
                  printable(counts->name));
    }
    squares.tokens = static_cast<int64_t>(count[0]);
    importance.matrices.emplace(name, std::move(squares));
  }
  if (importance.matrices.empty()) {
    return fail(Code::kCorrupt, "{}: there is no matrix in it", path.string());
  }
  return importance;
}

}  // namespace hachi::quantize
