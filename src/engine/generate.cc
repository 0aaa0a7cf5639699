#include "engine/generate.h"

#include <algorithm>

#include "core/clock.h"

namespace hachi::engine {
namespace {

// What the model draws by itself, or the sampler from its logits.
int32_t draw(Session& session, const Sampler& sampler, SamplerScratch& scratch,
             std::span<const uint32_t> mask) {
  const uint64_t position = session.tokens().size();
  if (const auto how = sampler.how(position, {}, mask)) {
    if (const auto drawn = session.draw(*how)) return *drawn;
  }
  return sampler.sample(session.logits(), position, scratch, {}, mask);
}

Result<void> answer(Session& session, Sampler& sampler, SamplerScratch& scratch,
                    const GenerateOptions& options, const OnToken& on_token,
                    const ShouldStop& should_stop, GenerateStats& stats) {
  const auto is_stop = [&](int32_t token) {
    return std::find(options.stop_ids.begin(), options.stop_ids.end(), token) !=
           options.stop_ids.end();
  };
  stats.finish = Finish::kLength;
  while (options.max_tokens < 0 || stats.generated_tokens < options.max_tokens) {
    const NextToken next = next_token(options.constraint, session.vocab_size());
    const int32_t token = next.ends     ? 0
                          : next.forced ? *next.forced
                                        : draw(session, sampler, scratch, next.mask);
    if (next.ends || is_stop(token)) {
      stats.finish = Finish::kStop;
      return {};
    }
    ++stats.generated_tokens;
    sampler.observe(token);
    if (options.constraint != nullptr) options.constraint->accept(token);
    const bool goes_on = on_token(token);
    if (!goes_on || (options.constraint != nullptr && options.constraint->finished())) {
      stats.finish = Finish::kStop;
      return {};
    }
    if (should_stop && should_stop()) {
      stats.finish = Finish::kCancelled;
      return {};
    }
    if (stats.generated_tokens == options.max_tokens) return {};
    if (static_cast<int64_t>(session.tokens().size()) == session.context()) return {};
    TRY(session.decode(token));
  }
  return {};
}

}  // namespace

Result<GenerateStats> generate(Session& session, std::span<const int32_t> prompt,
                               const GenerateOptions& options, const OnToken& on_token,
                               const Progress& progress, const ShouldStop& should_stop) {
  TRY(validate(options.sampling, session.vocab_size()));
  if (prompt.empty()) {
    return fail(Code::kInvalidArgument, "the prompt is empty: give it at least one token");
  }
  GenerateStats stats;
  stats.prompt_tokens = static_cast<int64_t>(prompt.size());
  Stopwatch clock;
  const auto kept = session.prefill(prompt, progress, should_stop);
  stats.prefill_seconds = clock.seconds();
  if (!kept && kept.error().code == Code::kCancelled) {
    stats.finish = Finish::kCancelled;
    return stats;
  }
  TRY(stats.cached_tokens, kept);
  Sampler sampler(options.sampling, session.context() + 1);
  SamplerScratch scratch(session.vocab_size());
  sampler.observe_prompt(prompt);
  clock.restart();
  TRY(answer(session, sampler, scratch, options, on_token, should_stop, stats));
  stats.decode_seconds = clock.seconds();
  return stats;
}

}  // namespace hachi::engine
