#include "kernels/draw.h"

#include "kernels/checks.h"
#include "kernels/cuda_ops.h"
#include "kernels/gpu.h"
#include "kernels/ref/ref.h"

namespace hachi::ops {

uint64_t draw_bytes(int64_t rows, int64_t vocab_size) {
  const int64_t mask_words = (vocab_size + 31) / 32;
  constexpr int64_t kEditWords = 2;
  return sizeof(uint32_t) * static_cast<uint64_t>(rows) *
             static_cast<uint64_t>(2 + mask_words + kEditWords * kMaxDrawEdits) +
         sizeof(TokenLogprobs) * static_cast<uint64_t>(rows);
}

void queue_draw(Context& ctx, std::span<int32_t> tokens, ConstTensor logits,
                std::span<const DrawRow> rows, std::byte* room, std::span<TokenLogprobs> logprobs) {
  check_f32(logits, logits.size(0), logits.size(1));
  CHECK_EQ(tokens.size(), rows.size());
  for (const DrawRow& row : rows) {
    CHECK(row.row >= 0 && row.row < logits.size(0) && row.top_logprobs <= kMaxTopLogprobs);
    CHECK(row.top_logprobs < 0 || logprobs.size() == rows.size());
  }
  if (ctx.device != Device::kCuda) return ref::draw(tokens, logits, rows, logprobs);
  CHECK(logits.size(1) <= kMaxDrawVocab);
  for (const DrawRow& row : rows) CHECK(row.num_edits() <= kMaxDrawEdits);
  cuda::queue_draw(ctx, tokens, logits, rows, room, logprobs);
}

void draw(Context& ctx, std::span<int32_t> tokens, ConstTensor logits,
          std::span<const DrawRow> rows, std::byte* room, std::span<TokenLogprobs> logprobs) {
  queue_draw(ctx, tokens, logits, rows, room, logprobs);
  if (ctx.device == Device::kCuda) ctx.gpu->wait();
}

}  // namespace hachi::ops
