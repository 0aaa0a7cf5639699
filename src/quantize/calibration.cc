#include "quantize/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "quantize/layer_runner.h"

namespace hachi::quantize {
namespace {

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
  std::array<std::vector<double>, kLayerInputs.size()> sums_;
};

Result<void> add_layer(const SquaresObserver& observer, int64_t layer, bool fused, int64_t tokens,
                       Importance& importance) {
  for (const model::LayerInput input : kLayerInputs) {
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
    for (const std::string& name : matrices_of(input, layer, fused)) {
      importance.matrices.emplace(name, squares);
    }
  }
  return {};
}

// A text's tokens, and what each sequence cut from them begins with.
struct TextTokens {
  TextTokens(const tokenizer::Tokenizer& tokenizer, std::string_view text, int64_t size)
      : begin(tokenizer.encode("", {.add_special = true})),
        tokens(tokenizer.encode(text, {.parse_special = false})),
        room(size - static_cast<int64_t>(begin.size())),
        count(static_cast<int64_t>(tokens.size())) {}

  std::vector<int32_t> sequence(int64_t first, int64_t last) const {
    std::vector<int32_t> all = begin;
    all.insert(all.end(), tokens.begin() + first, tokens.begin() + last);
    return all;
  }

  std::vector<int32_t> begin;
  std::vector<int32_t> tokens;
  int64_t room;   // for tokens of the text in a sequence
  int64_t count;  // of `tokens`
};

}  // namespace

Result<std::vector<std::vector<int32_t>>> calibration_chunks(const tokenizer::Tokenizer& tokenizer,
                                                             std::string_view text,
                                                             int64_t chunk_size,
                                                             int64_t max_chunks) {
  const TextTokens all(tokenizer, text, chunk_size);
  const int64_t whole = all.room < 1 ? 0 : all.count / all.room;
  if (whole == 0) {
    return fail(Code::kInvalidArgument,
                "the text has {} tokens, fewer than the {} of one chunk: give a longer one",
                all.count, chunk_size);
  }
  const int64_t count = max_chunks > 0 ? std::min(max_chunks, whole) : whole;
  std::vector<std::vector<int32_t>> chunks;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t first = (i * whole / count) * all.room;
    chunks.push_back(all.sequence(first, first + all.room));
  }
  return chunks;
}

Result<std::vector<std::vector<int32_t>>> text_windows(const tokenizer::Tokenizer& tokenizer,
                                                       std::string_view text, int64_t size) {
  const TextTokens all(tokenizer, text, size);
  std::vector<std::vector<int32_t>> windows;
  for (int64_t first = 0; all.room > 0 && first < all.count; first += all.room) {
    auto window = all.sequence(first, std::min(first + all.room, all.count));
    if (window.size() >= 2) windows.push_back(std::move(window));
  }
  if (windows.empty()) {
    return fail(Code::kInvalidArgument, "the text is too short to compare the models on");
  }
  return windows;
}

Result<Importance> measure_importance(std::shared_ptr<const formats::Checkpoint> checkpoint,
                                      const std::vector<std::vector<int32_t>>& chunks,
                                      ThreadPool& pool, const Progress& progress,
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
      TRY(check_stop(should_stop));
      runner.run(layer, &observers[static_cast<size_t>(layer)]);
    }
    if (progress) progress(static_cast<int64_t>(i) + 1, static_cast<int64_t>(chunks.size()));
  }
  Importance importance;
  importance.num_chunks = static_cast<int64_t>(chunks.size());
  importance.chunk_size = chunk_size;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    TRY(add_layer(observers[static_cast<size_t>(layer)], layer, runner.config().fused, tokens,
                  importance));
  }
  return importance;
}

}  // namespace hachi::quantize
