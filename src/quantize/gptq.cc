#include "quantize/gptq.h"

#include <cstring>

#include "core/checked.h"
#include "quantize/compensate.h"
#include "quantize/encode_rows.h"
#include "quantize/grid.h"

namespace hachi::quantize {
namespace {

// Adds what it sees to the Hessian of each input.
class HessianObserver : public model::LayerObserver {
 public:
  explicit HessianObserver(std::vector<Hessian>& hessians) : hessians_(hessians) {}

  void see(model::LayerInput which, ConstTensor x) override {
    if (done) done = hessians_[static_cast<size_t>(which)].add(x);
  }

  Result<void> done;

 private:
  std::vector<Hessian>& hessians_;
};

}  // namespace

Gptq::Gptq(ThreadPool& pool, LayerRunner runner, GptqOptions options)
    : pool_(pool), runner_(std::move(runner)), options_(std::move(options)) {}

Result<std::unique_ptr<Gptq>> Gptq::create(const Source& source, const Plan& plan,
                                           const std::vector<std::vector<int32_t>>& chunks,
                                           ThreadPool& pool, GptqOptions options) {
  CHECK(!chunks.empty());
  const auto chunk_size = static_cast<int64_t>(chunks.front().size());
  TRY(LayerRunner runner, LayerRunner::create(source.checkpoint, chunk_size, pool));
  if (runner.config().fused) {
    return fail(Code::kUnsupported,
                "{}: GPTQ is not possible for models whose file has query, key and value in one "
                "matrix; use an importance matrix",
                source.checkpoint->path().string());
  }
  std::unique_ptr<Gptq> gptq(new Gptq(pool, std::move(runner), std::move(options)));
  for (const PlannedTensor& planned : plan.tensors) {
    gptq->planned_.emplace(planned.tensor->name, &planned);
  }
  const int64_t width = gptq->runner_.config().hidden_size;
  const auto bytes = static_cast<uint64_t>(chunk_size * width) * sizeof(float);
  const auto all_bytes = checked_mul(bytes, chunks.size());
  if (!all_bytes) return fail(Code::kLimit, "{} chunks are too many to keep", chunks.size());
  TRY(gptq->streams_memory_, Buffer::allocate(*all_bytes));
  std::byte* at = gptq->streams_memory_.data();
  for (const std::vector<int32_t>& chunk : chunks) {
    CHECK_EQ(static_cast<int64_t>(chunk.size()), chunk_size);
    gptq->runner_.embed(chunk);
    std::memcpy(at, gptq->runner_.stream().data(), bytes);
    gptq->streams_.emplace_back(at, DType::kF32, std::initializer_list<int64_t>{chunk_size, width});
    at += bytes;
  }
  return gptq;
}

Result<const std::vector<std::byte>*> Gptq::blocks_of(const PlannedTensor& planned) {
  const auto layer = model::layer_of(planned.tensor->name);
  if (!layer || planned.tensor->sizes.size() < 2) return nullptr;
  if (*layer != layer_) {
    TRY(quantize_layer(*layer));
  }
  const auto found = blocks_.find(planned.tensor->name);
  return found == blocks_.end() ? nullptr : &found->second;
}

Result<void> Gptq::run_layer(int64_t layer, const model::LayerWeights& weights,
                             ops::RopeLayout layout, model::LayerObserver* observer, bool keep) {
  for (const Tensor& stream : streams_) {
    TRY(check_stop(options_.should_stop));
    const auto bytes = static_cast<size_t>(stream.size(0) * stream.size(1)) * sizeof(float);
    runner_.start_chunk(stream.size(0));
    std::memcpy(runner_.stream().data(), stream.data(), bytes);
    runner_.run(layer, weights, layout, observer);
    if (keep) std::memcpy(stream.data(), runner_.stream().data(), bytes);
  }
  return {};
}

Result<void> Gptq::quantize_layer(int64_t layer) {
  CHECK_EQ(layer, layer_ + 1);
  const model::ModelConfig& config = runner_.config();
  blocks_.clear();
  std::vector<Hessian> hessians;
  for (const int64_t inputs : {config.hidden_size, config.num_heads * config.head_dim,
                               config.hidden_size, config.ffn_size}) {
    TRY(Hessian hessian, Hessian::create(inputs, pool_));
    hessians.push_back(std::move(hessian));
  }
  HessianObserver observer(hessians);
  TRY(run_layer(layer, runner_.weights(layer), config.rope.layout, &observer, false));
  TRY(std::move(observer.done));
  for (const model::LayerInput input : kLayerInputs) {
    TRY(quantize_input(input, layer, hessians[static_cast<size_t>(input)]));
  }
  hessians.clear();
  layer_ = layer;
  const auto& query =
      planned_.find(matrices_of(model::LayerInput::kAttention, layer, false)[0])->second;
  const auto layout =
      query->tensor->interleaved_heads > 0 ? ops::RopeLayout::kInterleaved : config.rope.layout;
  return run_layer(layer, changed_weights(layer), layout, nullptr, true);
}

Result<void> Gptq::quantize_input(model::LayerInput input, int64_t layer, Hessian& hessian) {
  TRY(hessian.factor(options_.damping));
  for (const std::string& name : matrices_of(input, layer, false)) {
    TRY(check_stop(options_.should_stop));
    TRY(quantize_matrix(*planned_.find(name)->second, hessian));
  }
  return {};
}

Result<void> Gptq::quantize_matrix(const PlannedTensor& planned, const Hessian& hessian) {
  const SourceTensor& tensor = *planned.tensor;
  std::vector<std::byte>& out = blocks_[tensor.name];
  if (tensor.is_stored_as(planned.type)) {
    out.resize(planned.bytes());
    copy_rows(tensor, 0, tensor.rows(), out.data());
    return {};
  }
  if (has_grid(planned.type)) {
    return quantize_compensated(tensor, planned.type, hessian, pool_, out);
  }
  out.resize(planned.bytes());
  return encode_rows(tensor, planned.type, hessian.mean_squares().data(), 0, tensor.rows(), pool_,
                     out.data());
}

model::LayerWeights Gptq::changed_weights(int64_t layer) const {
  model::LayerWeights weights = runner_.weights(layer);
  const auto changed = [&](model::LayerInput input, size_t index, ops::Weight& weight) {
    const std::string name = matrices_of(input, layer, false)[index];
    const PlannedTensor& planned = *planned_.find(name)->second;
    weight = {.values = ConstTensor(blocks_.find(name)->second.data(), planned.type,
                                    {planned.tensor->rows(), planned.tensor->columns()})};
  };
  changed(model::LayerInput::kAttention, 0, weights.query);
  changed(model::LayerInput::kAttention, 1, weights.key);
  changed(model::LayerInput::kAttention, 2, weights.value);
  changed(model::LayerInput::kOut, 0, weights.out);
  changed(model::LayerInput::kFfn, 0, weights.gate);
  changed(model::LayerInput::kFfn, 1, weights.up);
  changed(model::LayerInput::kDown, 0, weights.down);
  return weights;
}

}  // namespace hachi::quantize
