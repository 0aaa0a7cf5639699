#include "cli/quantize_check.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/store.h"
#include "cli/terminal.h"
#include "core/files.h"
#include "engine/generate.h"
#include "quantize/calibration.h"
#include "quantize/compare.h"

namespace hachi::cli {
namespace {

using quantize::Comparison;
using quantize::ModelFigures;

constexpr int64_t kDecodedTokens = 32;

Result<engine::Session> open_session(const LoadedModel& loaded, int threads, int64_t chunk) {
  return engine::Session::create(
      loaded.model, {.threads = threads, .context = chunk + kDecodedTokens, .chunk = chunk});
}

// A chunk that the source finds likely: what it writes by itself, drawn with a fixed seed.
Result<std::vector<int32_t>> own_text(const LoadedModel& source, engine::Session& session,
                                      int64_t chunk) {
  std::vector<int32_t> tokens = source.tokenizer.encode("The", {.add_special = true});
  if (tokens.empty()) tokens.push_back(0);
  engine::GenerateOptions options;
  options.sampling.temperature = 1;
  options.sampling.seed = 1;
  options.max_tokens = chunk - static_cast<int64_t>(tokens.size());
  const std::vector<int32_t> prompt = tokens;
  const auto keep = [&](int32_t token) {
    tokens.push_back(token);
    return true;
  };
  TRY(engine::generate(session, prompt, options, keep, {}, InterruptGuard::requested));
  if (InterruptGuard::requested()) return fail(Code::kCancelled, "interrupted");
  return tokens;
}

Result<std::vector<std::vector<int32_t>>> chunks_to_compare(const CheckOptions& options,
                                                            const LoadedModel& source,
                                                            engine::Session& session) {
  const int64_t chunk = session.chunk();
  if (options.file.empty()) {
    TRY(auto tokens, own_text(source, session, chunk));
    return std::vector<std::vector<int32_t>>{std::move(tokens)};
  }
  TRY(const std::string text, read_file(options.file, kMaxInputBytes));
  return quantize::text_windows(source.tokenizer, text, chunk);
}

void print_model(const char* what, const ModelFigures& model) {
  fmt::print("{:10}  {:>10}  {:>6.2f}  {:>9.4f} +- {:<7.4f}  {:>9.1f}  {:>8.1f}\n", what,
             human_bytes(model.bytes), model.bits_per_weight, model.perplexity.value,
             model.perplexity.error, model.prefill_per_second, model.decode_per_second);
}

void print_text(const Comparison& comparison) {
  const quantize::Divergence& d = comparison.divergence;
  fmt::print("{:10}  {:>10}  {:>6}  {:>20}  {:>9}  {:>8}\n", "", "SIZE", "BITS", "PERPLEXITY",
             "PREFILL/s", "DECODE/s");
  print_model("source", comparison.source);
  print_model("quantized", comparison.quantized);
  fmt::print("perplexity ratio  {:.5f} +- {:.5f}\n", comparison.ratio.value,
             comparison.ratio.error);
  fmt::print(
      "KL divergence     mean {:.6f} +- {:.6f}, median {:.6f}, 99 % below {:.6f}, most {:.4f}\n",
      d.mean, d.mean_error, d.median, d.percentile_99, d.max);
  fmt::print("same best token   {:.2f} % of {} places in windows of {}\n", 100 * d.same_top,
             d.tokens, comparison.chunk_size);
}

boost::json::object json_of(const ModelFigures& model) {
  return {{"bytes", model.bytes},
          {"bits_per_weight", model.bits_per_weight},
          {"perplexity", model.perplexity.value},
          {"perplexity_error", model.perplexity.error},
          {"prefill_tokens_per_second", model.prefill_per_second},
          {"decode_tokens_per_second", model.decode_per_second}};
}

void print_json(const Comparison& comparison) {
  const quantize::Divergence& d = comparison.divergence;
  const boost::json::object json = {{"source", json_of(comparison.source)},
                                    {"quantized", json_of(comparison.quantized)},
                                    {"perplexity_ratio", comparison.ratio.value},
                                    {"perplexity_ratio_error", comparison.ratio.error},
                                    {"kl_divergence",
                                     {{"mean", d.mean},
                                      {"mean_error", d.mean_error},
                                      {"median", d.median},
                                      {"percentile_99", d.percentile_99},
                                      {"max", d.max}}},
                                    {"same_top", d.same_top},
                                    {"tokens", d.tokens},
                                    {"window", comparison.chunk_size}};
  fmt::print("{}\n", boost::json::serialize(json));
}

Result<void> add_figures(const LoadedModel& loaded, engine::Session& session,
                         std::span<const int32_t> prompt, ModelFigures& figures) {
  figures.bytes = loaded.checkpoint->file_bytes();
  figures.bits_per_weight = quantize::bits_per_weight(*loaded.checkpoint);
  TRY(const quantize::Speed speed,
      quantize::measure_speed(session, prompt, kDecodedTokens, InterruptGuard::requested));
  figures.prefill_per_second = speed.prefill_per_second;
  figures.decode_per_second = speed.decode_per_second;
  return {};
}

}  // namespace

Result<int> check_quantized(const CheckOptions& options) {
  const InterruptGuard guard;
  TRY(const LoadedModel source, load_model(options.source));
  ModelOptions other = options.source;
  other.model = options.quantized;
  TRY(const LoadedModel quantized, load_model(other));
  const int64_t longest =
      std::min(source.model.config().context_length, quantized.model.config().context_length);
  const int64_t wanted =
      options.source.context > 0 ? options.source.context : quantize::kChunkTokens;
  const int64_t chunk = std::min(wanted, longest - kDecodedTokens);
  if (chunk < 2) {
    return fail(Code::kInvalidArgument, "a context of {} is too short to compare in", longest);
  }
  TRY(engine::Session p, open_session(source, options.source.threads, chunk));
  TRY(engine::Session q, open_session(quantized, options.source.threads, chunk));
  TRY(const auto chunks, chunks_to_compare(options, source, p));
  ProgressLine progress("comparing", options.source.quiet);
  TRY(Comparison comparison,
      quantize::compare_models(
          p, q, chunks, [&](int64_t done, int64_t total) { progress.update(done, total); },
          InterruptGuard::requested));
  progress.erase();
  TRY(add_figures(source, p, chunks.front(), comparison.source));
  TRY(add_figures(quantized, q, chunks.front(), comparison.quantized));
  options.json ? print_json(comparison) : print_text(comparison);
  return 0;
}

}  // namespace hachi::cli
