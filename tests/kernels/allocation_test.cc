// No op allocates on kCpu once the workspace has grown: this file counts every operator new of the
// test program.
#include <atomic>
#include <cstdlib>
#include <new>

#include "kernels/kv_page.h"
#include "kernels/testing.h"

namespace {
std::atomic<int64_t> num_allocations{0};
}  // namespace

void* operator new(size_t bytes) {
  ++num_allocations;
  void* data = std::malloc(bytes == 0 ? 1 : bytes);
  if (data == nullptr) std::abort();
  return data;
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, size_t) noexcept { std::free(data); }

namespace hachi::ops {
namespace {

TEST(Allocation, NoOpAllocates) {
  constexpr int64_t kTokens = 40, kHeads = 4, kKvHeads = 2, kWidth = 32;
  std::mt19937 random(41);
  const RandomWeight weight(DType::kQ4_K, kHeads * kWidth, 256, random);
  const Matrix x(kTokens, 256, random), q(kTokens, kHeads * kWidth, random);
  const Matrix kv_rows(kTokens, kKvHeads * kWidth, random), norm(1, 256, random);
  const Matrix y(kTokens, kHeads * kWidth), normed(kTokens, 256), gated(kTokens, 128);
  const Matrix angles(kTokens, kWidth);
  const Bytes keys(3 * kKvHeads * kPagePositions * kWidth * 2, 0), values(keys.size(), 0);
  const KvLayer kv{Tensor(keys.data(), DType::kF16, {3, kKvHeads, kWidth, kPagePositions}),
                   Tensor(values.data(), DType::kF16, {3, kKvHeads, kPagePositions, kWidth})};
  const std::vector<int32_t> pages = {2, 0, 1};
  std::vector<int32_t> ids(kTokens, 3), positions(kTokens);
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int32_t>(i);
  const std::vector<float> inv_freq(kWidth / 2, 0.1f);
  const std::vector<SequenceSpan> spans = {{0, kTokens, pages}};
  const BatchView batch{ids, positions, spans};
  for_each_set([&](Runner& runner) {
    Context& ctx = runner.ctx();
    matmul(ctx, y.tensor(), x.tensor(), weight.weight());  // grows the workspace
    const int64_t before = num_allocations;
    embed(ctx, normed.tensor(), ids, weight.weight(), 1.0f);
    rms_norm(ctx, normed.tensor(), x.tensor(), norm.vector(), 1e-6f);
    matmul(ctx, y.tensor(), x.tensor(), weight.weight());
    matmul_add(ctx, y.tensor(), x.tensor(), weight.weight());
    rms_norm_heads(ctx, normed.tensor(), norm.vector(), 1e-6f);
    rope_angles(ctx, angles.tensor(), positions, inv_freq, 1.0f);
    rope(ctx, y.tensor(), angles.tensor(), RopeLayout::kHalves);
    kv_store(ctx, kv, kv_rows.tensor(), kv_rows.tensor(), batch);
    attention(ctx, y.tensor(), q.tensor(), kv, batch, 0.1f, 0);
    attention(ctx, y.tensor(), q.tensor(), kv, batch, 0.1f, 3);
    swiglu(ctx, gated.tensor(), x.tensor());
    geglu(ctx, gated.tensor(), x.tensor());
    add(ctx, normed.tensor(), x.tensor());
    dequantize(ctx, normed.tensor().rows(0, 8), weight.weight(), 0);
    EXPECT_EQ(num_allocations - before, 0);
  });
}

}  // namespace
}  // namespace hachi::ops
