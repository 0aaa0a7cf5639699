#include "kernels/cuda/attention.h"

#include <algorithm>

#include "core/check.h"
#include "kernels/cuda/attention_parts.h"

namespace hachi::ops::cuda {
namespace {

void check(const Attention& args) {
  CHECK_GT(args.num_kv_heads, 0);
  CHECK_EQ(args.num_heads % args.num_kv_heads, 0);
  CHECK_EQ(args.head_dim % 8, 0);
  CHECK_LE(args.head_dim, 256);
  CHECK_EQ(args.stride % 8, 0);
  CHECK(args.type == DType::kBF16 || args.type == DType::kF32);
  CHECK(args.kv.dtype == DType::kF32 || args.kv.dtype == DType::kF16 ||
        args.kv.dtype == DType::kBF16 || args.kv.dtype == DType::kF8E4M3);
  if (args.next.rows != nullptr) CHECK_EQ(args.num_heads * args.head_dim % 32, 0);
  CHECK(args.next.squares == nullptr);
}

// What many tokens count, before all that single tokens use.
constexpr int64_t kTurnsBytes = 128;

void* after_turns(void* workspace) { return static_cast<char*>(workspace) + kTurnsBytes; }

// Of the parts of single tokens: 16 bytes for two results. They stay zero.
int64_t parts_bytes(int64_t rows, int64_t num_heads, int64_t head_dim) {
  return std::min(rows * attend::kMaxParts, attend::kPartSlots) * num_heads * head_dim * 8;
}

}  // namespace

int64_t attention_workspace(int64_t max_tokens, int64_t num_heads, int64_t head_dim) {
  const int64_t rows = std::min(max_tokens, attend::kRowsALaunch);
  return kTurnsBytes + parts_bytes(rows, num_heads, head_dim) +
         rows * num_heads * head_dim * 4;  // plain()'s y
}

void attend_one(Stream stream, const Attention& given) {
  check(given);
  Attention args = given;
  args.workspace = after_turns(given.workspace);
  if (args.batch.num_tokens == 0) return;
  if (attend::one_is_fast(args)) return attend::fast_one(stream, args, {});
  attend::prepare(stream, args);
  const int64_t row_bytes = args.num_heads * args.head_dim * traits(args.type).block_bytes;
  auto* scratch = static_cast<char*>(args.workspace) +
                  parts_bytes(std::min(args.batch.num_tokens, attend::kRowsALaunch), args.num_heads,
                              args.head_dim);
  for (int64_t first = 0; first < args.batch.num_tokens; first += attend::kRowsALaunch) {
    const int64_t count = std::min(args.batch.num_tokens - first, attend::kRowsALaunch);
    void* y = args.y != nullptr ? static_cast<char*>(args.y) + first * row_bytes : scratch;
    attend::plain(stream, args, y, first, count);
    if (args.next.rows != nullptr) attend::stage_operand(stream, args, y, first, count);
  }
}

void attend_many(Stream stream, const Attention& args, int64_t max_context) {
  check(args);
  CHECK_GT(max_context, 0);
  CHECK(args.y != nullptr && args.next.rows == nullptr);
  if (args.batch.num_tokens == 0) return;
  if (attend::many_is_fast(args)) {
    attend::store(stream, args);
    attend::fast_many(stream, args, max_context);
    return;
  }
  attend::prepare(stream, args);
  attend::plain(stream, args, args.y, 0, args.batch.num_tokens);
}

void attend_mixed(Stream stream, const Attention& args, int64_t max_context, int64_t singles) {
  if (singles == 0 || !attend::one_is_fast(args) || !attend::many_is_fast(args)) {
    return attend_many(stream, args, max_context);
  }
  Attention many = args;
  many.batch.num_skipped = singles;
  check(many);
  attend::store(stream, many);
  const attend::Beside beside = attend::fast_many(stream, many, max_context);
  Attention one = args;
  one.workspace = after_turns(args.workspace);
  one.batch.num_tokens = one.batch.num_sequences = singles;
  attend::fast_one(stream, one, beside);
}

}  // namespace hachi::ops::cuda
