#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/random.h"

namespace hachi::engine {
namespace {

// Candidates sorted at first for top-p: nearly always enough, and cheap.
constexpr size_t kFirstNucleus = 128;

Result<void> check_range(const char* field, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return fail(Code::kInvalidArgument, "{} must be between {} and {}, got {}", field, low, high,
              value);
}

}  // namespace

Result<void> validate(const SamplingParams& params, int64_t vocab_size) {
  TRY(check_range("temperature", params.temperature, 0, 100));
  TRY(check_range("top_p", params.top_p, 0, 1));
  TRY(check_range("min_p", params.min_p, 0, 1));
  TRY(check_range("top_k", static_cast<double>(params.top_k), 0, 1e9));
  TRY(check_range("repetition_penalty", params.repetition_penalty, 0.01, 100));
  TRY(check_range("presence_penalty", params.presence_penalty, -100, 100));
  TRY(check_range("frequency_penalty", params.frequency_penalty, -100, 100));
  for (const auto& [token, bias] : params.logit_bias) {
    if (token < 0 || token >= vocab_size) {
      return fail(Code::kInvalidArgument, "logit_bias names the token {}, and there are {}", token,
                  vocab_size);
    }
    TRY(check_range("logit_bias", bias, -1000, 1000));
  }
  return {};
}

Sampler::Sampler(SamplingParams params, int64_t vocab_size)
    : params_(std::move(params)),
      is_seen_(static_cast<size_t>(vocab_size)),
      generated_(static_cast<size_t>(vocab_size)),
      logits_(static_cast<size_t>(vocab_size)) {}

void Sampler::mark_seen(int32_t token) {
  const auto at = static_cast<size_t>(token);
  if (is_seen_[at]) return;
  is_seen_[at] = true;
  seen_.push_back(token);
}

void Sampler::observe_prompt(std::span<const int32_t> tokens) {
  for (const int32_t token : tokens) mark_seen(token);
}

void Sampler::observe(int32_t token) {
  mark_seen(token);
  ++generated_[static_cast<size_t>(token)];
}

int32_t Sampler::sample(std::span<const float> logits, uint64_t position) {
  penalize(logits);
  if (params_.temperature == 0) return most_likely();
  keep_top_k();
  weigh();
  if (params_.top_p < 1) keep_top_p();
  if (params_.min_p > 0) {
    std::erase_if(candidates_, [&](const Candidate& c) {
      return c.weight < static_cast<float>(params_.min_p);  // the best one's weight is 1
    });
  }
  return draw(position);
}

void Sampler::penalize(std::span<const float> logits) {
  std::copy(logits.begin(), logits.end(), logits_.begin());
  for (float& logit : logits_) {
    if (std::isnan(logit)) logit = -INFINITY;  // a broken model still gets an answer
  }
  const auto repetition = static_cast<float>(params_.repetition_penalty);
  const auto presence = static_cast<float>(params_.presence_penalty);
  const auto frequency = static_cast<float>(params_.frequency_penalty);
  for (const int32_t token : seen_) {
    float& logit = logits_[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
    const int32_t times = generated_[static_cast<size_t>(token)];
    if (times > 0) logit -= presence + frequency * static_cast<float>(times);
  }
  for (const auto& [token, bias] : params_.logit_bias) logits_[static_cast<size_t>(token)] += bias;
}

int32_t Sampler::most_likely() const {
  return static_cast<int32_t>(
      std::distance(logits_.begin(), std::max_element(logits_.begin(), logits_.end())));
}

void Sampler::keep_top_k() {
  candidates_.clear();
  for (size_t i = 0; i < logits_.size(); ++i) {
    candidates_.push_back({logits_[i], 0, static_cast<int32_t>(i)});
  }
  const auto k = static_cast<size_t>(params_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(k),
                   candidates_.end(), [](const Candidate& a, const Candidate& b) {
                     return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
                   });
  candidates_.resize(k);
  // nth_element leaves an order that depends on the library; the draw needs one that does not.
  std::sort(candidates_.begin(), candidates_.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

void Sampler::weigh() {
  float best = -INFINITY;
  for (const Candidate& c : candidates_) best = std::max(best, c.logit);
  const auto scale = static_cast<float>(1 / params_.temperature);
  for (Candidate& c : candidates_) {
    c.weight = c.logit == best ? 1.0f : std::exp((c.logit - best) * scale);
  }
}

void Sampler::keep_top_p() {
  double total = 0;
  for (const Candidate& c : candidates_) total += static_cast<double>(c.weight);
  const double wanted = params_.top_p * total;
  const auto more_likely = [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
  };
  for (size_t sorted = kFirstNucleus;; sorted *= 4) {
    const size_t end = std::min(sorted, candidates_.size());
    std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(end),
                      candidates_.end(), more_likely);
    double mass = 0;
    for (size_t i = 0; i < end; ++i) {
      mass += static_cast<double>(candidates_[i].weight);
      if (mass >= wanted) {
        candidates_.resize(i + 1);
        return;
      }
    }
    if (end == candidates_.size()) return;
  }
}

int32_t Sampler::draw(uint64_t position) const {
  double total = 0;
  for (const Candidate& c : candidates_) total += static_cast<double>(c.weight);
  double left = uniform(params_.seed, position) * total;
  for (const Candidate& c : candidates_) {
    left -= static_cast<double>(c.weight);
    if (left < 0) return c.id;
  }
  return candidates_.back().id;
}

}  // namespace hachi::engine
