#include "quantize/compare.h"

#include <algorithm>
#include <cmath>

#include "core/clock.h"
#include "core/thread_pool.h"

namespace hachi::quantize {
namespace {

// What one place of the text has to say.
struct PlaceFigures {
  double source_loss = 0;  // -log p of the token that comes
  double quantized_loss = 0;
  double divergence = 0;
  bool same_top = false;
};

struct LogSum {
  double largest;
  double log_sum;  // log of sum of exp(logit - largest)
  int64_t top;
};

LogSum log_sum(const float* logits, int64_t count) {
  const float* best = std::max_element(logits, logits + count);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += std::exp(static_cast<double>(logits[i] - *best));
  return {static_cast<double>(*best), std::log(sum), best - logits};
}

PlaceFigures figures_of(const float* p, const float* q, int64_t vocab, int32_t next) {
  const LogSum p_sum = log_sum(p, vocab);
  const LogSum q_sum = log_sum(q, vocab);
  const auto log_p = [&](int64_t i) {
    return static_cast<double>(p[i]) - p_sum.largest - p_sum.log_sum;
  };
  const auto log_q = [&](int64_t i) {
    return static_cast<double>(q[i]) - q_sum.largest - q_sum.log_sum;
  };
  PlaceFigures figures;
  for (int64_t i = 0; i < vocab; ++i) {
    const double log_share = log_p(i);
    figures.divergence += std::exp(log_share) * (log_share - log_q(i));
  }
  figures.divergence = std::max(0.0, figures.divergence);  // rounding may leave less than nothing
  figures.source_loss = -log_p(next);
  figures.quantized_loss = -log_q(next);
  figures.same_top = p_sum.top == q_sum.top;
  return figures;
}

struct MeanAndError {
  double mean = 0;
  double error = 0;
};

template <class Of>
MeanAndError mean_of(const std::vector<PlaceFigures>& places, const Of& of) {
  const auto count = static_cast<double>(places.size());
  double sum = 0;
  for (const PlaceFigures& place : places) sum += of(place);
  const double mean = sum / count;
  double squares = 0;
  for (const PlaceFigures& place : places) squares += (of(place) - mean) * (of(place) - mean);
  const double error = count > 1 ? std::sqrt(squares / (count - 1) / count) : 0;
  return {mean, error};
}

// exp of a mean, with the error that its error becomes.
Perplexity exponential(const MeanAndError& mean) {
  return {std::exp(mean.mean), std::exp(mean.mean) * mean.error};
}

Divergence divergence_of(const std::vector<PlaceFigures>& places) {
  Divergence divergence;
  divergence.tokens = static_cast<int64_t>(places.size());
  const auto mean = mean_of(places, [](const PlaceFigures& place) { return place.divergence; });
  divergence.mean = mean.mean;
  divergence.mean_error = mean.error;
  std::vector<double> sorted;
  int64_t same = 0;
  for (const PlaceFigures& place : places) {
    sorted.push_back(place.divergence);
    same += place.same_top;
  }
  std::sort(sorted.begin(), sorted.end());
  divergence.median = sorted[sorted.size() / 2];
  divergence.percentile_99 = sorted[(sorted.size() - 1) * 99 / 100];
  divergence.max = sorted.back();
  divergence.same_top = static_cast<double>(same) / static_cast<double>(places.size());
  return divergence;
}

// The places of one chunk, whose last token is scored and comes after all logits.
void compare_chunk(engine::Session& source, engine::Session& quantized,
                   const std::vector<int32_t>& chunk, ThreadPool& pool,
                   std::vector<PlaceFigures>& places) {
  const auto scored = static_cast<int64_t>(chunk.size()) - 1;
  for (int64_t first = 0; first < scored; first += engine::Session::kLogitRows) {
    const int64_t rows = std::min(engine::Session::kLogitRows, scored - first);
    const ConstTensor p = source.logits_after(first, rows);
    const ConstTensor q = quantized.logits_after(first, rows);
    const size_t begin = places.size();
    places.resize(begin + static_cast<size_t>(rows));
    pool.parallel_for(rows, 1, [&](int64_t row, int64_t end) {
      for (; row < end; ++row) {
        places[begin + static_cast<size_t>(row)] =
            figures_of(p.row<float>(row), q.row<float>(row), p.size(1),
                       chunk[static_cast<size_t>(first + row + 1)]);
      }
    });
  }
}

double middle(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2),
                   values.end());
  return values[values.size() / 2];
}

}  // namespace

Result<Comparison> compare_models(engine::Session& source, engine::Session& quantized,
                                  const std::vector<std::vector<int32_t>>& chunks,
                                  const Progress& progress, const ShouldStop& should_stop) {
  CHECK(!chunks.empty());
  if (source.vocab_size() != quantized.vocab_size()) {
    return fail(Code::kInvalidArgument,
                "the models have vocabularies of {} and {} tokens: one was not made from the other",
                source.vocab_size(), quantized.vocab_size());
  }
  ThreadPool pool(source.threads());
  std::vector<PlaceFigures> places;
  for (size_t i = 0; i < chunks.size(); ++i) {
    TRY(check_stop(should_stop));
    TRY(source.run_whole(chunks[i]));
    TRY(quantized.run_whole(chunks[i]));
    compare_chunk(source, quantized, chunks[i], pool, places);
    if (progress) progress(static_cast<int64_t>(i) + 1, static_cast<int64_t>(chunks.size()));
  }
  Comparison comparison;
  comparison.chunk_size = static_cast<int64_t>(chunks.front().size());
  comparison.divergence = divergence_of(places);
  comparison.source.perplexity =
      exponential(mean_of(places, [](const PlaceFigures& place) { return place.source_loss; }));
  comparison.quantized.perplexity =
      exponential(mean_of(places, [](const PlaceFigures& place) { return place.quantized_loss; }));
  comparison.ratio = exponential(mean_of(
      places, [](const PlaceFigures& place) { return place.quantized_loss - place.source_loss; }));
  return comparison;
}

Result<Speed> measure_speed(engine::Session& session, std::span<const int32_t> prompt,
                            int64_t num_decoded, const ShouldStop& should_stop) {
  constexpr int kRuns = 3;
  std::vector<double> prefill;
  std::vector<double> decode;
  for (int run = 0; run < kRuns; ++run) {
    Stopwatch clock;
    TRY(session.run_whole(prompt));
    prefill.push_back(static_cast<double>(prompt.size()) / clock.seconds());
    clock.restart();
    for (int64_t i = 0; i < num_decoded; ++i) {
      TRY(check_stop(should_stop));
      TRY(session.decode(prompt[static_cast<size_t>(i) % prompt.size()]));
    }
    decode.push_back(static_cast<double>(num_decoded) / clock.seconds());
  }
  return Speed{middle(prefill), middle(decode)};
}

double bits_per_weight(const formats::Checkpoint& checkpoint) {
  double bits = 0;
  double weights = 0;
  for (const formats::TensorEntry& tensor : checkpoint.tensors()) {
    double elements = 1;
    for (int i = 0; i < tensor.data.rank(); ++i)
      elements *= static_cast<double>(tensor.data.size(i));
    const DTypeTraits& type = traits(tensor.data.dtype());
    bits += elements * 8 * type.block_bytes / type.block_size;
    weights += elements;
  }
  return weights == 0 ? 0 : bits / weights;
}

}  // namespace hachi::quantize
