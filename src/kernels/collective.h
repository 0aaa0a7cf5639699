// Collective: what the ranks of a model do together. Each rank is a process with a device of its
// own and a part of each matrix (model/shard.h); all of them run the same ops in the same order.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/socket.h"
#include "kernels/context.h"

namespace hachi::ops {

// On a GPU all of it goes into the queue, also of a step that is kept, and nobody waits.
class Collective {
 public:
  virtual ~Collective() = default;

  int rank() const { return rank_; }
  int size() const { return size_; }

  // x [T,C] f32, dense: the sum of all ranks' x, the same bits on each.
  virtual void all_reduce_sum(Context& ctx, Tensor x) = 0;
  // x [R,V] f32, dense, whose columns [r * V / N, (r + 1) * V / N) rank r has: rank 0 gets all. The
  // others keep theirs.
  virtual void gather_columns(Context& ctx, Tensor x) = 0;
  // The bytes of rank 0, in the memory of ctx's device.
  virtual void broadcast(Context& ctx, std::span<std::byte> bytes) = 0;

 protected:
  Collective(int rank, int size) : rank_(rank), size_(size) {}

 private:
  const int rank_;
  const int size_;
};

// Between processors: rank 0 adds what the others send, in the order of ranks, and sends them the
// sum. Rank 0 has `peers` to rank 1, 2, ..., the others one to rank 0. `lost` is told of a peer
// that is gone, and does not return.
std::unique_ptr<Collective> tcp_collective(
    int rank, int size, std::vector<Socket> peers,
    std::function<void(int rank, std::string_view why)> lost);

// Between GPUs: by NCCL, whose library is looked for when it is first asked for. Fails with
// kUnsupported if it is not there.
using NcclId = std::array<std::byte, 128>;
Result<NcclId> new_nccl_id();  // on rank 0, for all
// Returns when all ranks have called it. The GPU outlives it. NCCL's NVLS (multicast of NVLink) is
// off unless the variable NCCL_NVLS_ENABLE says otherwise: it needs rights that containers lack.
Result<std::unique_ptr<Collective>> nccl_collective(Gpu& gpu, int rank, int size, const NcclId& id);

// What a layer calls: nothing if there is one rank.
inline void all_reduce_sum(Context& ctx, Tensor x) {
  if (ctx.collective != nullptr) ctx.collective->all_reduce_sum(ctx, x);
}

// Whether what all_reduce_sum() adds up begins with this rank: what is to be in the sum once is
// added here.
inline bool is_first_rank(const Context& ctx) {
  return ctx.collective == nullptr || ctx.collective->rank() == 0;
}

// kCuda: the tokens that rank 0 drew last from `rows` rows of logits are there on all ranks for
// begin_step(), as after queue_draw(). `room` is that of queue_draw().
void share_drawn(Context& ctx, int64_t rows, std::byte* room);

}  // namespace hachi::ops
