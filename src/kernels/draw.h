// Drawing tokens from rows of logits where the logits are: penalties -> bias -> mask -> temperature
// -> top-k -> top-p -> min-p -> draw, in this order. On processors the engine draws by its Sampler,
// from which these steps come; there this op is the reference for the GPU's.
//
// Weights are w = exp((logit - greatest) / temperature), f32; tokens stand in a line, by their ids,
// or with top_p < 1 by falling weight and then by their ids. The token at `uniform` of the line's
// whole weight is drawn.
//
// On a GPU weights are multiples of 2^-45, so that all their sums are exact integers: a row's token
// depends on nothing but the row. It is the reference's too, unless a border between two tokens
// lies within the rounding of exp() from `uniform`.
//
// With the token come the logprobs (logprobs.h) of rows that ask for them. A GPU's differ from the
// reference's by the rounding of a sum in double precision.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "kernels/context.h"
#include "kernels/logprobs.h"

namespace hachi::ops {

// A token that stands in the prompt, or `times` in the answer.
struct SeenToken {
  int32_t token;
  int32_t times;
};

// How the token of one row is drawn. NaN counts as -infinity.
struct DrawRow {
  int64_t row = 0;         // of the logits
  int top_logprobs = -1;   // 0 to kMaxTopLogprobs: logprobs are wanted, with so many others
  double uniform = 0;      // a random number in [0, 1)
  int32_t forced = -1;     // this token, whatever else stands here; -1: none
  double temperature = 0;  // 0: the greatest logit, the lowest id of equals
  double top_p = 1;
  double min_p = 0;
  int64_t top_k = 0;  // 0: all
  // For each seen token l = l > 0 ? l / repetition : l * repetition, then, if it stands in the
  // answer, l -= presence + frequency * times. No token stands there twice.
  double repetition = 1;
  double presence = 0;
  double frequency = 0;
  std::span<const SeenToken> seen;
  std::span<const std::pair<int32_t, float>> biases;  // l += bias; no token stands there twice
  std::span<const int32_t> banned;                    // l = -infinity
  // Bit i % 32 of word i / 32: token i may be drawn; those behind the last word may not. At least
  // one may; empty: all may.
  std::span<const uint32_t> mask;

  int64_t num_edits() const {
    return static_cast<int64_t>(seen.size() + biases.size() + banned.size());
  }
};

// What a GPU takes: other rows are drawn elsewhere.
inline constexpr int64_t kMaxDrawVocab = int64_t{1} << 18;
inline constexpr int64_t kMaxDrawEdits = 4096;  // of a row

// Bytes of the context's memory that drawing up to `rows` tokens from up to `rows` rows takes.
uint64_t draw_bytes(int64_t rows, int64_t vocab_size);

// tokens[i], on the host, is drawn from logits [R,V] as rows[i] says. kCuda waits for it.
//
//   room      draw_bytes(max(rows.size(), R), V)
//   logprobs  on the host; logprobs[i] is written if rows[i] wants it. Empty if no row does.
void draw(Context& ctx, std::span<int32_t> tokens, ConstTensor logits,
          std::span<const DrawRow> rows, std::byte* room, std::span<TokenLogprobs> logprobs = {});

// The same without a wait: the tokens and logprobs are there when a point of the GPU's queue that
// is set after it is reached. Until the next call, an id of -1 - r in begin_step() stands for the
// token that was drawn from row r, while `room` is left as it is.
void queue_draw(Context& ctx, std::span<int32_t> tokens, ConstTensor logits,
                std::span<const DrawRow> rows, std::byte* room,
                std::span<TokenLogprobs> logprobs = {});

}  // namespace hachi::ops
