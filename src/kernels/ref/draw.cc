#include "kernels/draw.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/ref/ref.h"

namespace hachi::ops::ref {
namespace {

struct Candidate {
  float logit;
  float weight;
  int32_t id;
};

bool is_allowed(std::span<const uint32_t> mask, size_t token) {
  if (mask.empty()) return true;
  return token / 32 < mask.size() && (mask[token / 32] >> (token % 32) & 1) != 0;
}

std::vector<float> edited(const float* logits, size_t vocab_size, const DrawRow& how) {
  std::vector<float> edited(logits, logits + vocab_size);
  for (float& logit : edited) logit = std::isnan(logit) ? -INFINITY : logit;
  const auto repetition = static_cast<float>(how.repetition);
  const auto presence = static_cast<float>(how.presence);
  const auto frequency = static_cast<float>(how.frequency);
  for (const auto& [token, times] : how.seen) {
    float& logit = edited[static_cast<size_t>(token)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (times > 0) logit -= presence + frequency * static_cast<float>(times);
  }
  for (const auto& [token, bias] : how.biases) edited[static_cast<size_t>(token)] += bias;
  for (const int32_t token : how.banned) edited[static_cast<size_t>(token)] = -INFINITY;
  return edited;
}

double sum_of(const std::vector<Candidate>& line) {
  double sum = 0;
  for (const Candidate& one : line) sum += static_cast<double>(one.weight);
  return sum;
}

// Sorts by falling weight and keeps the fewest first ones that have top_p of the whole.
void keep_nucleus(std::vector<Candidate>& line, double top_p) {
  std::sort(line.begin(), line.end(), [](const Candidate& a, const Candidate& b) {
    return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
  });
  const double wanted = top_p * sum_of(line);
  double mass = 0;
  size_t count = 0;
  do {
    mass += static_cast<double>(line[count++].weight);
  } while (mass < wanted && count < line.size());
  line.resize(count);
}

int32_t draw_one(const float* logits, size_t vocab_size, const DrawRow& how) {
  const std::vector<float> scores = edited(logits, vocab_size, how);
  std::vector<Candidate> line;
  for (size_t token = 0; token < vocab_size; ++token) {
    if (!is_allowed(how.mask, token)) continue;
    line.push_back({scores[token], 0, static_cast<int32_t>(token)});
  }
  if (line.empty()) return 0;
  const auto by_logit = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const Candidate best = *std::min_element(line.begin(), line.end(), by_logit);
  if (how.temperature == 0) return best.id;
  if (how.top_k > 0 && how.top_k < static_cast<int64_t>(line.size())) {
    std::sort(line.begin(), line.end(), by_logit);
    line.resize(static_cast<size_t>(how.top_k));
    std::sort(line.begin(), line.end(),
              [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  }
  const auto scale = static_cast<float>(1 / how.temperature);
  for (Candidate& one : line) {
    one.weight = one.logit == best.logit ? 1.0f : std::exp((one.logit - best.logit) * scale);
  }
  if (how.top_p < 1) keep_nucleus(line, how.top_p);
  const auto least = static_cast<float>(how.min_p);
  std::erase_if(line, [&](const Candidate& one) { return one.weight < least; });
  double left = how.uniform * sum_of(line);
  for (const Candidate& one : line) {
    left -= static_cast<double>(one.weight);
    if (left < 0) return one.id;
  }
  return line.back().id;
}

}  // namespace

void draw(std::span<int32_t> tokens, ConstTensor logits, std::span<const DrawRow> rows,
          std::span<TokenLogprobs> logprobs) {
  const auto vocab_size = static_cast<size_t>(logits.size(1));
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto* row = logits.row<float>(rows[i].row);
    tokens[i] = rows[i].forced >= 0 ? rows[i].forced : draw_one(row, vocab_size, rows[i]);
    if (rows[i].top_logprobs < 0) continue;
    logprobs[i] = logprobs_of({row, vocab_size}, tokens[i], rows[i].top_logprobs);
  }
}

}  // namespace hachi::ops::ref
