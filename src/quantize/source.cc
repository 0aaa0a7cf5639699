#include "quantize/source.h"

#include <algorithm>
#include <cstring>

#include "core/checked.h"
#include "formats/printable.h"
#include "kernels/dequantize.h"
#include "kernels/panels.h"
#include "kernels/unpack.h"
#include "kernels/weight_blocks.h"
#include "quantize/gguf_from_hf.h"

namespace hachi::quantize {
namespace {

using formats::Checkpoint;
using formats::Kind;

// Matrices of experts would need a choice of their own: their rows are used by few tokens.
Result<void> refuse_experts(const Checkpoint& checkpoint, const std::string& family) {
  TRY(const auto experts, checkpoint.metadata().integer(family + ".expert_count"));
  if (experts.value_or(0) == 0) return {};
  return fail(Code::kUnsupported,
              "{}: the model is a mixture of {} experts, and Hachi quantizes models without them",
              checkpoint.path().string(), *experts);
}

Result<model::MixtureModel> gguf_model(const Checkpoint& checkpoint, const std::string& family) {
  model::MixtureModel model;
  const auto first_of = [&](const char* key) -> Result<int64_t> {
    TRY(const auto values, checkpoint.metadata().integers(family + key));
    if (values.empty() || values.front() < 1) return int64_t{0};
    return values.front();
  };
  TRY(model.num_layers, first_of(".block_count"));
  if (model.num_layers == 0) {
    return fail(Code::kCorrupt, "{}: {}.block_count is missing or below 1",
                checkpoint.path().string(), family);
  }
  TRY(const int64_t heads, first_of(".attention.head_count"));
  TRY(const int64_t kv_heads, first_of(".attention.head_count_kv"));
  model.heads_per_kv = heads > 0 && kv_heads > 0 ? std::max<int64_t>(1, heads / kv_heads) : 1;
  model.tied_head = checkpoint.find("output.weight") == nullptr;
  model.has_70b_values = family == "llama" && model.num_layers == 80 && model.heads_per_kv > 1;
  return model;
}

Result<SourceTensor> as_it_lies(const Checkpoint& checkpoint, const formats::TensorEntry& entry) {
  SourceTensor tensor;
  tensor.name = std::string(entry.name);
  const ConstTensor& data = entry.data;
  int64_t rows = 1;
  for (int i = 0; i < data.rank(); ++i) {
    tensor.sizes.push_back(data.size(i));
    if (i + 1 < data.rank()) rows *= data.size(i);
  }
  tensor.weight.values = ConstTensor(data.data(), data.dtype(), {rows, tensor.sizes.back()});
  tensor.weight.panels = entry.panels;
  if (entry.panels != nullptr && !ops::has_panels(data.dtype(), tensor.sizes.back())) {
    return fail(Code::kCorrupt, "{}: {} lies in panels, which {} with {} columns has not",
                checkpoint.path().string(), formats::printable(entry.name), name(data.dtype()),
                tensor.sizes.back());
  }
  return tensor;
}

Result<Source> from_gguf(std::shared_ptr<const Checkpoint> checkpoint) {
  Source source;
  TRY(const auto family, checkpoint->metadata().string("general.architecture"));
  if (!family) {
    return fail(Code::kCorrupt, "{}: general.architecture is missing: this is not a model",
                checkpoint->path().string());
  }
  TRY(refuse_experts(*checkpoint, std::string(*family)));
  TRY(source.model, gguf_model(*checkpoint, std::string(*family)));
  for (const formats::RawPair& pair : checkpoint->raw_pairs()) {
    if (!pair.key.starts_with("split.")) source.pairs.set(pair);
  }
  for (const formats::TensorEntry& entry : checkpoint->tensors()) {
    TRY(SourceTensor tensor, as_it_lies(*checkpoint, entry));
    source.tensors.push_back(std::move(tensor));
  }
  source.checkpoint = std::move(checkpoint);
  return source;
}

// The row of the checkpoint that row `row` of the tensor is.
int64_t stored_row(const SourceTensor& tensor, int64_t row) {
  if (tensor.interleaved_heads == 0) return row;
  const int64_t width = tensor.rows() / tensor.interleaved_heads;
  const int64_t head = row / width;
  const int64_t within = row % width;
  return head * width + within / 2 + (within % 2) * (width / 2);
}

}  // namespace

bool Source::is_quantized() const {
  return std::any_of(tensors.begin(), tensors.end(), [](const SourceTensor& tensor) {
    return ops::is_block_type(tensor.weight.values.dtype());
  });
}

Result<Source> open_source(std::shared_ptr<const Checkpoint> checkpoint) {
  const bool gguf = checkpoint->kind() == Kind::kGguf;
  TRY(Source source,
      gguf ? from_gguf(std::move(checkpoint)) : source_from_hf(std::move(checkpoint)));
  std::stable_sort(source.tensors.begin(), source.tensors.end(),
                   [](const SourceTensor& a, const SourceTensor& b) {
                     return model::layer_of(a.name).value_or(-1) <
                            model::layer_of(b.name).value_or(-1);
                   });
  return source;
}

void copy_rows(const SourceTensor& tensor, int64_t first, int64_t count, std::byte* out) {
  CHECK(tensor.is_stored_as(tensor.weight.values.dtype()));
  const auto bytes = static_cast<size_t>(row_bytes(tensor.weight.values.dtype(), tensor.columns()));
  for (int64_t r = 0; r < count; ++r, out += bytes) {
    const std::byte* row =
        ops::weight_blocks(tensor.weight, stored_row(tensor, first + r), 0, tensor.columns(), out);
    if (row != out) std::memcpy(out, row, bytes);
  }
}

void read_rows(const SourceTensor& tensor, int64_t first, int64_t count, float* out) {
  ops::Context plain{.device = ops::Device::kRef};
  const int64_t columns = tensor.columns();
  if (tensor.interleaved_heads == 0) {
    ops::dequantize(plain, Tensor(out, DType::kF32, {count, columns}), tensor.weight, first);
    return;
  }
  for (int64_t r = 0; r < count; ++r) {
    ops::dequantize(plain, Tensor(out + r * columns, DType::kF32, {1, columns}), tensor.weight,
                    stored_row(tensor, first + r));
  }
}

}  // namespace hachi::quantize
