#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <iterator>
#include <numeric>

#include "core/random.h"

namespace hachi::engine {
namespace {

// The bucket of a weight in [0, 1] in a histogram: its exponent and three bits of its fraction, so
// that a greater weight has no lower bucket.
constexpr size_t bucket_of(float weight) { return std::bit_cast<uint32_t>(weight) >> 20; }
constexpr size_t kNumBuckets = bucket_of(1.0f) + 1;
using Masses = std::array<double, kNumBuckets>;

template <class Candidate>
bool more_likely(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

template <class Candidate>
Masses masses_of(const std::vector<Candidate>& candidates) {
  Masses masses{};
  for (const Candidate& c : candidates) {
    masses[bucket_of(c.weight)] += static_cast<double>(c.weight);
  }
  return masses;
}

// The bucket with which those from the greatest weight on have `mass`, or the last that has any;
// and the mass of those before it.
std::pair<size_t, double> bucket_at(const Masses& masses, double mass) {
  std::pair<size_t, double> found{kNumBuckets - 1, 0};
  double sum = 0;
  for (size_t bucket = kNumBuckets; bucket-- > 0;) {
    if (masses[bucket] == 0) continue;
    found = {bucket, sum};
    sum += masses[bucket];
    if (sum >= mass) break;
  }
  return found;
}

Result<void> check_range(const char* field, double value, double low, double high) {
  if (value >= low && value <= high) return {};
  return fail(Code::kInvalidArgument, "{} must be between {} and {}, got {}", field, low, high,
              value);
}

// visit(token) for each of `vocab_size` tokens whose bit is set, in the order of their ids.
template <class Visit>
void for_allowed(std::span<const uint32_t> mask, size_t vocab_size, const Visit& visit) {
  for (size_t word = 0; word < mask.size() && word * 32 < vocab_size; ++word) {
    const size_t first = word * 32;
    if (mask[word] == ~uint32_t{0} && first + 32 <= vocab_size) {
      for (size_t token = first; token < first + 32; ++token) visit(token);
      continue;
    }
    for (uint32_t bits = mask[word]; bits != 0; bits &= bits - 1) {
      const size_t token = first + static_cast<size_t>(std::countr_zero(bits));
      if (token >= vocab_size) return;
      visit(token);
    }
  }
}

bool has_double(std::span<const std::pair<int32_t, float>> biases) {
  std::vector<int32_t> tokens;
  for (const auto& [token, bias] : biases) tokens.push_back(token);
  std::sort(tokens.begin(), tokens.end());
  return std::adjacent_find(tokens.begin(), tokens.end()) != tokens.end();
}

// Whether a token of the mask is not banned.
bool leaves_some(std::span<const uint32_t> mask, std::span<const int32_t> banned) {
  for (size_t word = 0; word < mask.size(); ++word) {
    uint32_t bits = mask[word];
    for (const int32_t token : banned) {
      if (static_cast<size_t>(token) / 32 == word) bits &= ~(uint32_t{1} << (token % 32));
    }
    if (bits != 0) return true;
  }
  return false;
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

int32_t most_likely(std::span<const float> logits) {
  constexpr size_t kLanes = 16;  // apart, so that vectors can hold them
  std::array<float, kLanes> lanes;
  lanes.fill(-INFINITY);
  size_t at = 0;
  for (; at + kLanes <= logits.size(); at += kLanes) {
    for (size_t i = 0; i < kLanes; ++i) {
      lanes[i] = logits[at + i] > lanes[i] ? logits[at + i] : lanes[i];
    }
  }
  float best = *std::max_element(lanes.begin(), lanes.end());
  for (; at < logits.size(); ++at) best = logits[at] > best ? logits[at] : best;
  const auto found = std::find(logits.begin(), logits.end(), best);
  return found == logits.end() ? 0 : static_cast<int32_t>(std::distance(logits.begin(), found));
}

int32_t most_likely(std::span<const float> logits, std::span<const uint32_t> mask) {
  if (mask.empty()) return most_likely(logits);
  int32_t best = -1;
  float most = -INFINITY;
  for_allowed(mask, logits.size(), [&](size_t token) {
    if (best >= 0 && !(logits[token] > most)) return;
    if (!std::isnan(logits[token])) most = logits[token];
    best = static_cast<int32_t>(token);
  });
  return std::max(best, 0);
}

SamplerScratch::SamplerScratch(int64_t vocab_size) : logits_(static_cast<size_t>(vocab_size)) {
  candidates_.reserve(logits_.size());
}

Sampler::Sampler(SamplingParams params, int64_t max_tokens)
    : params_(std::move(params)),
      counts_(params_.repetition_penalty != 1 || params_.presence_penalty != 0 ||
              params_.frequency_penalty != 0),
      has_double_bias_(has_double(params_.logit_bias)) {
  if (!counts_) return;
  seen_.reserve(static_cast<size_t>(max_tokens));
  table_.assign(std::bit_ceil(static_cast<size_t>(2 * max_tokens + 2)), -1);
}

ops::SeenToken& Sampler::seen(int32_t token) {
  constexpr uint32_t kSpread = 0x9e3779b1;  // 2^32 over the golden ratio
  size_t slot = (static_cast<uint32_t>(token) * kSpread) & (table_.size() - 1);
  for (; table_[slot] >= 0; slot = (slot + 1) & (table_.size() - 1)) {
    ops::SeenToken& known = seen_[static_cast<size_t>(table_[slot])];
    if (known.token == token) return known;
  }
  table_[slot] = static_cast<int32_t>(seen_.size());
  return seen_.emplace_back(ops::SeenToken{token, 0});
}

void Sampler::observe_prompt(std::span<const int32_t> tokens) {
  if (!counts_) return;
  for (const int32_t token : tokens) seen(token);
}

void Sampler::observe(int32_t token) {
  if (counts_) ++seen(token).times;
}

int32_t Sampler::sample(std::span<const float> logits, uint64_t position, SamplerScratch& scratch,
                        std::span<const int32_t> banned, std::span<const uint32_t> mask) const {
  if (!mask.empty() && !banned.empty() && !leaves_some(mask, banned)) banned = {};
  const bool is_plain = !counts_ && params_.logit_bias.empty() && banned.empty();
  if (params_.temperature == 0 && is_plain) return most_likely(logits, mask);
  std::copy(logits.begin(), logits.end(), scratch.logits_.begin());
  penalize(scratch.logits_, banned);
  if (params_.temperature == 0) return most_likely(scratch.logits_, mask);
  auto& candidates = scratch.candidates_;
  keep_top_k(scratch, mask);
  weigh(candidates);
  if (params_.top_p < 1) keep_top_p(candidates);
  if (params_.min_p > 0) {
    std::erase_if(candidates, [&](const Candidate& c) {
      return c.weight < static_cast<float>(params_.min_p);  // the best one's weight is 1
    });
  }
  return params_.top_p < 1 ? draw_by_weight(candidates, position)
                           : draw_by_id(candidates, position);
}

std::optional<ops::DrawRow> Sampler::how(uint64_t position, std::span<const int32_t> banned,
                                         std::span<const uint32_t> mask) const {
  if (!mask.empty() && !banned.empty() && !leaves_some(mask, banned)) banned = {};
  const ops::DrawRow how = {.uniform = uniform(params_.seed, position),
                            .temperature = params_.temperature,
                            .top_p = params_.top_p,
                            .min_p = params_.min_p,
                            .top_k = params_.top_k,
                            .repetition = params_.repetition_penalty,
                            .presence = params_.presence_penalty,
                            .frequency = params_.frequency_penalty,
                            .seen = seen_,
                            .biases = params_.logit_bias,
                            .banned = banned,
                            .mask = mask};
  if (has_double_bias_ || how.num_edits() > ops::kMaxDrawEdits) return std::nullopt;
  return how;
}

void Sampler::penalize(std::vector<float>& logits, std::span<const int32_t> banned) const {
  for (float& logit : logits) {
    if (std::isnan(logit)) logit = -INFINITY;  // a broken model still gets an answer
  }
  const auto repetition = static_cast<float>(params_.repetition_penalty);
  const auto presence = static_cast<float>(params_.presence_penalty);
  const auto frequency = static_cast<float>(params_.frequency_penalty);
  for (const auto& [token, times] : seen_) {
    float& logit = logits[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (times > 0) logit -= presence + frequency * static_cast<float>(times);
  }
  for (const auto& [token, bias] : params_.logit_bias) logits[static_cast<size_t>(token)] += bias;
  for (const int32_t token : banned) logits[static_cast<size_t>(token)] = -INFINITY;
}

void Sampler::keep_top_k(SamplerScratch& scratch, std::span<const uint32_t> mask) const {
  auto& candidates = scratch.candidates_;
  candidates.clear();
  const auto add = [&](size_t token) {
    candidates.push_back({scratch.logits_[token], 0, static_cast<int32_t>(token)});
  };
  if (mask.empty()) {
    for (size_t token = 0; token < scratch.logits_.size(); ++token) add(token);
  } else {
    for_allowed(mask, scratch.logits_.size(), add);
  }
  const auto k = static_cast<size_t>(params_.top_k);
  if (k == 0 || k >= candidates.size()) return;
  std::nth_element(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(k),
                   candidates.end(), [](const Candidate& a, const Candidate& b) {
                     return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
                   });
  candidates.resize(k);
  // nth_element leaves an order that depends on the library; the draw needs one that does not.
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

void Sampler::weigh(std::vector<Candidate>& candidates) const {
  float best = -INFINITY;
  for (const Candidate& c : candidates) best = std::max(best, c.logit);
  const auto scale = static_cast<float>(1 / params_.temperature);
  for (Candidate& c : candidates) {
    c.weight = c.logit == best ? 1.0f : std::exp((c.logit - best) * scale);
  }
}

// Of a large vocabulary whose tokens are about as likely, most would be sorted: only those of the
// bucket in which the border lies are.
void Sampler::keep_top_p(std::vector<Candidate>& candidates) const {
  double total = 0;
  for (const Candidate& c : candidates) total += static_cast<double>(c.weight);
  const double wanted = params_.top_p * total;
  const auto [border, before] = bucket_at(masses_of(candidates), wanted);
  std::erase_if(candidates,
                [border = border](const Candidate& c) { return bucket_of(c.weight) < border; });
  const auto undecided = std::partition(
      candidates.begin(), candidates.end(),
      [border = border](const Candidate& c) { return bucket_of(c.weight) > border; });
  std::sort(undecided, candidates.end(), more_likely<Candidate>);
  double mass = before;
  auto end = undecided;
  while (end != candidates.end() && (end == undecided || mass < wanted)) {
    mass += static_cast<double>((end++)->weight);
  }
  candidates.erase(end, candidates.end());
}

int32_t Sampler::draw_by_id(const std::vector<Candidate>& candidates, uint64_t position) const {
  double total = 0;
  for (const Candidate& c : candidates) total += static_cast<double>(c.weight);
  double left = uniform(params_.seed, position) * total;
  for (const Candidate& c : candidates) {
    left -= static_cast<double>(c.weight);
    if (left < 0) return c.id;
  }
  return candidates.back().id;
}

// As if the candidates stood by falling weight, and then by their ids.
int32_t Sampler::draw_by_weight(std::vector<Candidate>& candidates, uint64_t position) const {
  const Masses masses = masses_of(candidates);
  const double total = std::accumulate(masses.rbegin(), masses.rend(), 0.0);
  const double place = uniform(params_.seed, position) * total;
  // Its token is the first up to which there is more than `place`, and a bucket that comes to just
  // that is not enough.
  const auto [bucket, before] = bucket_at(masses, std::nextafter(place, 2 * total));
  const auto end = std::partition(
      candidates.begin(), candidates.end(),
      [bucket = bucket](const Candidate& c) { return bucket_of(c.weight) == bucket; });
  std::sort(candidates.begin(), end, more_likely<Candidate>);
  double left = place - before;
  for (auto one = candidates.begin(); one != end; ++one) {
    left -= static_cast<double>(one->weight);
    if (left < 0) return one->id;
  }
  return std::prev(end)->id;
}

}  // namespace hachi::engine
