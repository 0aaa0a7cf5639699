#include "kernels/collective.h"

#include <utility>
#include <vector>

#include "kernels/checks.h"
#include "kernels/cuda_ops.h"

namespace hachi::ops {
namespace {

using Lost = std::function<void(int, std::string_view)>;

std::span<std::byte> bytes_of(Tensor x) {
  return {x.data(), static_cast<size_t>(x.size(0) * x.stride_bytes(0))};
}

class TcpCollective final : public Collective {
 public:
  TcpCollective(int rank, int size, std::vector<Socket> peers, Lost lost)
      : Collective(rank, size), peers_(std::move(peers)), lost_(std::move(lost)) {
    CHECK_EQ(peers_.size(), static_cast<size_t>(rank == 0 ? size - 1 : 1));
  }

  void all_reduce_sum(Context&, Tensor x) override {
    check_f32(x, x.size(0), x.size(1));
    CHECK_EQ(x.stride_bytes(0), row_bytes(DType::kF32, x.size(1)));
    if (rank() != 0) {
      send(0, bytes_of(x));
      return receive(0, bytes_of(x));
    }
    const auto count = static_cast<size_t>(x.size(0) * x.size(1));
    part_.resize(count);
    for (int peer = 1; peer < size(); ++peer) {
      receive(peer, std::as_writable_bytes(std::span(part_)));
      for (size_t i = 0; i < count; ++i) x.as<float>()[i] += part_[i];
    }
    for (int peer = 1; peer < size(); ++peer) send(peer, bytes_of(x));
  }

  void gather_columns(Context&, Tensor x) override {
    check_f32(x, x.size(0), x.size(1));
    const int64_t width = x.size(1) / size();
    const auto bytes = static_cast<size_t>(width) * sizeof(float);
    const auto part = [&](int64_t row, int of) {
      return std::span(reinterpret_cast<std::byte*>(x.row<float>(row) + of * width), bytes);
    };
    for (int64_t row = 0; row < x.size(0); ++row) {
      if (rank() != 0) {
        send(0, part(row, rank()));
        continue;
      }
      for (int peer = 1; peer < size(); ++peer) receive(peer, part(row, peer));
    }
  }

  void broadcast(Context&, std::span<std::byte> bytes) override {
    if (rank() != 0) return receive(0, bytes);
    for (int peer = 1; peer < size(); ++peer) send(peer, bytes);
  }

 private:
  Socket& socket(int peer) { return peers_[static_cast<size_t>(rank() == 0 ? peer - 1 : 0)]; }

  void send(int peer, std::span<const std::byte> bytes) {
    if (const auto sent = socket(peer).send(bytes); !sent) lost_(peer, sent.error().message);
  }

  void receive(int peer, std::span<std::byte> bytes) {
    if (const auto got = socket(peer).receive(bytes); !got) lost_(peer, got.error().message);
  }

  std::vector<Socket> peers_;
  Lost lost_;
  std::vector<float> part_;
};

}  // namespace

std::unique_ptr<Collective> tcp_collective(int rank, int size, std::vector<Socket> peers,
                                           Lost lost) {
  return std::make_unique<TcpCollective>(rank, size, std::move(peers), std::move(lost));
}

void share_drawn(Context& ctx, int64_t rows, std::byte* room) {
  CHECK(ctx.device == Device::kCuda && ctx.collective != nullptr);
  if (rows == 0) return;
  ctx.collective->broadcast(ctx, {room, static_cast<size_t>(rows) * sizeof(int32_t)});
  if (ctx.collective->rank() != 0) cuda::remember_drawn(ctx, room);
}

}  // namespace hachi::ops
