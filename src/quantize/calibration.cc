#include "quantize/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "quantize/layer_runner.h"

namespace hachi::quantize {
namespace {

constexpr std::array kInputs = {model::LayerInput::kAttention, model::LayerInput::kOut,
                                model::LayerInput::kFfn, model::LayerInput::kDown};

// The sums of squares of one layer's four inputs.
class SquaresObserver : public model::LayerObserver {
 public:
  explicit SquaresObserver(ThreadPool& pool) : pool_(pool) {}

  void see(model::LayerInput which, ConstTensor x) override {
    std::vector<double>& sums = sums_[static_cast<size_t>(which)];
    sums.resize(static_cast<size_t>(x.size(1)));
    pool_.parallel_for(x.size(1), 64, [&](int64_t begin, int64_t end) {
      for (int64_t t = 0; t < x.size(0); ++t) {
        const float* row = x.row<float>(t);
        for (int64_t i = begin; i < end; ++i) {
          sums[static_cast<size_t>(i)] += static_cast<double>(row[i]) * static_cast<double>(row[i]);
        }
      }
    });
  }

  const std::vector<double>& sums(model::LayerInput which) const {
    return sums_[static_cast<size_t>(which)];
  }

 private:
  ThreadPool& pool_;
  std::array<std::vector<double>, kInputs.size()> sums_;
};

Result<void> add_layer(const SquaresObserver& observer, int64_t layer, int64_t tokens,
                       Importance& importance) {
  for (const model::LayerInput input : kInputs) {
    const std::vector<double>& sums = observer.sums(input);
    InputSquares squares;
    squares.tokens = tokens;
    squares.sums.assign(sums.begin(), sums.end());
    for (const float sum : squares.sums) {
      if (std::isfinite(sum)) continue;
      return fail(Code::kCorrupt,
                  "an activation of layer {} is infinite or no number: the model is damaged",
                  layer);
    }
    for (const std::string& name : matrices_of(input, layer)) {
      importance.matrices.emplace(name, squares);
    }
  }
  return {};
}

}  // namespace

Result<std::vector<std::vector<int32_t>>> calibration_chunks(const tokenizer::Tokenizer& tokenizer,
                                                             std::string_view text,
                                                             int64_t chunk_size,
                                                             int64_t max_chunks) {
  const std::vector<int32_t> begin = tokenizer.encode("", {.add_special = true});
  const std::vector<int32_t> tokens = tokenizer.encode(text, {.parse_special = false});
  const auto room = chunk_size - static_cast<int64_t>(begin.size());
  const int64_t whole = room < 1 ? 0 : static_cast<int64_t>(tokens.size()) / room;
  if (whole == 0) {
    return fail(Code::kInvalidArgument,
                "the text has {} tokens, fewer than the {} of one chunk: give a longer one",
                tokens.size(), chunk_size);
  }
  const int64_t count = max_chunks > 0 ? std::min(max_chunks, whole) : whole;
  std::vector<std::vector<int32_t>> chunks;
  for (int64_t i = 0; i < count; ++i) {
    const auto from = tokens.begin() + (i * whole / count) * room;
    chunks.push_back(begin);
    chunks.back().insert(chunks.back().end(), from, from + room);
  }
  return chunks;
}

Result<std::vector<std::vector<int32_t>>> text_windows(const tokenizer::Tokenizer& tokenizer,
                                                       std::string_view text, int64_t size) {
  const std::vector<int32_t> begin = tokenizer.encode("", {.add_special = true});
  const std::vector<int32_t> tokens = tokenizer.encode(text, {.parse_special = false});
  const auto room = static_cast<int64_t>(size) - static_cast<int64_t>(begin.size());
  std::vector<std::vector<int32_t>> windows;
  const auto count = static_cast<int64_t>(tokens.size());
  for (int64_t at = 0; room > 0 && at < count; at += room) {
    std::vector<int32_t> window = begin;
    window.insert(window.end(), tokens.begin() + at, tokens.begin() + std::min(at + room, count));
    if (window.size() >= 2) windows.push_back(std::move(window));
  }
  if (windows.empty()) {
    return fail(Code::kInvalidArgument, "the text is too short to compare the models on");
  }
  return windows;
}

Result<Importance> measure_importance(std::shared_ptr<const formats::Checkpoint> checkpoint,
                                      const std::vector<std::vector<int32_t>>& chunks,
                                      ThreadPool& pool, const CalibrationProgress& progress,
                                      const ShouldStop& should_stop) {
  CHECK(!chunks.empty());
  const auto chunk_size = static_cast<int64_t>(chunks.front().size());
  TRY(LayerRunner runner, LayerRunner::create(std::move(checkpoint), chunk_size, pool));
  const int64_t num_layers = runner.config().num_layers;
  std::vector<SquaresObserver> observers(static_cast<size_t>(num_layers), SquaresObserver(pool));
  int64_t tokens = 0;
  for (size_t i = 0; i < chunks.size(); ++i) {
    runner.embed(chunks[i]);
    tokens += static_cast<int64_t>(chunks[i].size());
    for (int64_t layer = 0; layer < num_layers; ++layer) {
      if (should_stop && should_stop()) return fail(Code::kCancelled, "cancelled");
      runner.run(layer, &observers[static_cast<size_t>(layer)]);
    }
    if (progress) progress(static_cast<int64_t>(i) + 1, static_cast<int64_t>(chunks.size()));
  }
  Importance importance;
  importance.num_chunks = static_cast<int64_t>(chunks.size());
  importance.chunk_size = chunk_size;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    TRY(add_layer(observers[static_cast<size_t>(layer)], layer, tokens, importance));
  }
  return importance;
}

}  // namespace hachi::quantize
