// Sampler: from the logits of a position to its token. Penalties -> bias -> mask -> temperature ->
// top-k -> top-p -> min-p -> draw, in this order. The random number of a position depends on the
// seed and the position alone, so a request can be repeated and resumed.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "core/result.h"
#include "kernels/draw.h"

namespace hachi::engine {

struct SamplingParams {
  double temperature = 1;         // 0: the most likely token, the lowest id of equals
  int64_t top_k = 0;              // keep the k most likely; 0: all
  double top_p = 1;               // keep the fewest whose probabilities reach p (nucleus sampling)
  double min_p = 0;               // keep those with at least min_p of the best one's probability
  double repetition_penalty = 1;  // logits of tokens in the prompt or the answer: / or * (CTRL)
  double presence_penalty = 0;    // minus this, once, for a token in the answer (OpenAI)
  double frequency_penalty = 0;   // minus this for each time that it stands in the answer
  std::vector<std::pair<int32_t, float>> logit_bias;  // added to these tokens' logits
  uint64_t seed = 0;
};

// The place of the greatest, the first of equals; NaN is never it. 0 if there is no number.
int32_t most_likely(std::span<const float> logits);

// The same among the tokens whose bits are set in `mask`; the first of them if there is no number.
int32_t most_likely(std::span<const float> logits, std::span<const uint32_t> mask);

// Fails with kInvalidArgument, naming the field, the limit and the value.
Result<void> validate(const SamplingParams& params, int64_t vocab_size);

// What sampling needs for a moment only: as many as threads sample, not as many as requests.
class SamplerScratch {
 public:
  explicit SamplerScratch(int64_t vocab_size);

 private:
  friend class Sampler;
  struct Candidate {
    float logit;
    float weight;  // exp((logit - best) / temperature)
    int32_t id;
  };
  std::vector<float> logits_;  // [V] after penalties and bias
  std::vector<Candidate> candidates_;
};

class Sampler {
 public:
  // `params` are valid; up to `max_tokens` will be observed.
  Sampler(SamplingParams params, int64_t max_tokens);

  const SamplingParams& params() const { return params_; }

  // Draws depend on the tokens of the answer, not on its length alone.
  bool counts() const { return counts_; }

  // Tells what stands in the prompt, and then each token of the answer: the penalties count them.
  void observe_prompt(std::span<const int32_t> tokens);
  void observe(int32_t token);

  // logits [V]; `position` is the one that the new token will have in its sequence. Only tokens
  // whose bits are set in `mask` are drawn (constraint.h; at least one is set, or it is empty:
  // all), and of those not the `banned` ones, unless the mask leaves nothing else.
  int32_t sample(std::span<const float> logits, uint64_t position, SamplerScratch& scratch,
                 std::span<const int32_t> banned = {}, std::span<const uint32_t> mask = {}) const;

  // The same draw for a model that draws by itself (step_model.h), as views of what was given here
  // and of this sampler; nothing if it is more than the op takes.
  std::optional<ops::DrawRow> how(uint64_t position, std::span<const int32_t> banned = {},
                                  std::span<const uint32_t> mask = {}) const;

 private:
  using Candidate = SamplerScratch::Candidate;
  ops::SeenToken& seen(int32_t token);
  void penalize(std::vector<float>& logits, std::span<const int32_t> banned) const;
  void keep_top_k(SamplerScratch& scratch, std::span<const uint32_t> mask) const;
  void weigh(std::vector<Candidate>& candidates) const;
  void keep_top_p(std::vector<Candidate>& candidates) const;
  int32_t draw_by_id(const std::vector<Candidate>& candidates, uint64_t position) const;
  int32_t draw_by_weight(std::vector<Candidate>& candidates, uint64_t position) const;

  SamplingParams params_;
  bool counts_;                       // some penalty is not neutral
  bool has_double_bias_;              // for one token
  std::vector<ops::SeenToken> seen_;  // tokens of the prompt or the answer, each once
  std::vector<int32_t> table_;        // places in seen_ by token, open addressing; -1: empty
};

}  // namespace hachi::engine
