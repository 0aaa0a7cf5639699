// What the engine's tests share: a fake model, its answers by a plain loop, readers of streams.
#pragma once

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/fake_model.h"

namespace hachi::engine::testing {

struct Answer {
  std::vector<TokenEvent> events;
  Finish finish = Finish::kStop;
  Usage usage;
  std::vector<float> embedding;

  std::vector<int32_t> tokens() const {
    std::vector<int32_t> tokens;
    for (const TokenEvent& event : events) tokens.push_back(event.chosen.token);
    return tokens;
  }
};

// Changes nothing but where tokens are drawn: two biases of one token are more than a device takes.
inline void draw_here(Request& request) {
  request.sampling.logit_bias.insert(request.sampling.logit_bias.end(), 2, {0, 0.0f});
}

// Waits for the end of a request.
inline Answer read(Stream& stream) {
  Answer answer;
  TokenEvent event;
  while (true) {
    const auto finish = stream.finished();
    while (stream.take(event)) answer.events.push_back(event);
    if (finish) {
      answer.finish = *finish;
      answer.usage = stream.usage();
      answer.embedding.assign(stream.embedding().begin(), stream.embedding().end());
      return answer;
    }
    std::this_thread::yield();
  }
}

inline void expect_same(const Answer& found, const Answer& wanted) {
  EXPECT_EQ(found.tokens(), wanted.tokens());
  EXPECT_EQ(found.finish, wanted.finish);
  EXPECT_EQ(found.embedding, wanted.embedding);
  ASSERT_EQ(found.events.size(), wanted.events.size());
  for (size_t i = 0; i < found.events.size(); ++i) {
    const TokenEvent &a = found.events[i], &b = wanted.events[i];
    EXPECT_EQ(a.chosen.logprob, b.chosen.logprob) << i;
    ASSERT_EQ(a.num_top, b.num_top);
    for (size_t t = 0; t < static_cast<size_t>(a.num_top); ++t) {
      EXPECT_EQ(a.top[t].token, b.top[t].token);
      EXPECT_EQ(a.top[t].logprob, b.top[t].logprob);
    }
  }
}

// What the fake model answers, one request at a time, without pages or batches.
inline Answer answer_alone(const Request& request, int64_t vocab_size, int64_t context,
                           Constraint* constraint = nullptr) {
  Answer answer;
  std::vector<float> logits(static_cast<size_t>(vocab_size));
  const auto event = [&](int32_t token, int top) {
    TokenEvent one = top < 0 ? TokenEvent() : ops::logprobs_of(logits, token, top);
    one.chosen.token = token;
    answer.events.push_back(one);
  };
  uint64_t state = 0;
  std::vector<double> pooled(FakeModel::kHidden);
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    if (i > 0 && request.score_prompt) {
      FakeModel::fill_logits(state, logits);
      event(request.prompt[i], std::max(request.top_logprobs, 0));
      if (request.top_logprobs < 0) answer.events.back().chosen.logprob = 0;
    }
    state = FakeModel::next_state(state, request.prompt[i]);
    if (request.pooling == Pooling::kNone) continue;
    std::vector<float> hidden(FakeModel::kHidden);
    FakeModel::fill_hidden(state, hidden);
    const bool is_mean = request.pooling == Pooling::kMean;
    if (!is_mean && i + 1 < request.prompt.size()) continue;
    const double weight = is_mean ? 1.0 / static_cast<double>(request.prompt.size()) : 1.0;
    for (size_t h = 0; h < hidden.size(); ++h) pooled[h] += weight * static_cast<double>(hidden[h]);
  }
  if (request.pooling != Pooling::kNone) answer.embedding.assign(pooled.begin(), pooled.end());
  answer.finish = Finish::kLength;
  if (request.max_tokens == 0) return answer;
  Sampler sampler(request.sampling, context);
  sampler.observe_prompt(request.prompt);
  SamplerScratch scratch(vocab_size);
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t most =
      request.max_tokens < 0 ? context : std::min(context, prompt + request.max_tokens);
  for (int64_t at = prompt; at < most; ++at) {
    FakeModel::fill_logits(state, logits);
    std::optional<int32_t> forced;
    std::span<const uint32_t> mask;
    if (constraint != nullptr) {
      forced = constraint->forced();
      mask = constraint->mask();
    }
    if (!forced && !mask.empty() && std::count(mask.begin(), mask.end(), 0u) == std::ssize(mask)) {
      answer.finish = Finish::kStop;
      break;
    }
    const int32_t token =
        forced ? *forced
               : sampler.sample(logits, static_cast<uint64_t>(at), scratch,
                                at - prompt < request.min_tokens ? request.stop_ids
                                                                 : std::span<const int32_t>(),
                                mask);
    if (request.is_stop(token)) {
      if (request.top_logprobs >= 0) event(token, request.top_logprobs);
      answer.finish = Finish::kStop;
      break;
    }
    sampler.observe(token);
    event(token, request.top_logprobs);
    state = FakeModel::next_state(state, token);
    if (constraint == nullptr) continue;
    constraint->accept(token);
    if (!constraint->finished()) continue;
    answer.finish = Finish::kStop;
    break;
  }
  return answer;
}

}  // namespace hachi::engine::testing
