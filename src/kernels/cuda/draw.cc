#include "kernels/cuda/draw.h"

#include <algorithm>
#include <bit>

#include "kernels/cuda/device.h"
#include "kernels/cuda/logprobs.h"
#include "kernels/cuda_ops.h"

namespace hachi::ops::cuda {
namespace {

size_t mask_words(const DrawRow& row, int64_t vocab_size) {
  return std::min(row.mask.size(), static_cast<size_t>((vocab_size + 31) / 32));
}

size_t edit_words(const DrawRow& row) {
  return 2 * (row.seen.size() + row.biases.size()) + row.banned.size();
}

DrawParams params_of(const DrawRow& row, int64_t vocab_size) {
  DrawParams params = {};
  params.uniform = row.uniform;
  params.top_p = row.top_p;
  params.scale = row.temperature > 0 ? static_cast<float>(1 / row.temperature) : 0;
  params.min_p = static_cast<float>(row.min_p);
  params.repetition = static_cast<float>(row.repetition);
  params.presence = static_cast<float>(row.presence);
  params.frequency = static_cast<float>(row.frequency);
  params.row = static_cast<int32_t>(row.row);
  params.forced = row.forced;
  params.top_k = static_cast<int32_t>(std::min(row.top_k, vocab_size));
  params.mask_words = static_cast<int32_t>(mask_words(row, vocab_size));
  params.num_seen = static_cast<int32_t>(row.seen.size());
  params.num_biases = static_cast<int32_t>(row.biases.size());
  params.num_banned = static_cast<int32_t>(row.banned.size());
  return params;
}

// The mask and the edits of a row, in the order of DrawParams.
uint32_t* write_words(uint32_t* to, const DrawRow& row, int64_t vocab_size) {
  to = std::copy_n(row.mask.begin(), mask_words(row, vocab_size), to);
  for (const SeenToken& seen : row.seen) {
    *to++ = static_cast<uint32_t>(seen.token);
    *to++ = static_cast<uint32_t>(seen.times);
  }
  for (const auto& [token, bias] : row.biases) {
    *to++ = static_cast<uint32_t>(token);
    *to++ = std::bit_cast<uint32_t>(bias);
  }
  for (const int32_t token : row.banned) *to++ = static_cast<uint32_t>(token);
  return to;
}

// One launch.
void draw_some(Device& gpu, int32_t* tokens, int32_t* by_row, ConstTensor logits,
               std::span<const DrawRow> rows, uint32_t* words) {
  const int64_t vocab_size = logits.size(1);
  DrawBatch batch;
  size_t count = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    DrawParams& params = batch.rows[i] = params_of(rows[i], vocab_size);
    params.mask_at = static_cast<int32_t>(count);
    params.edits_at = params.mask_at + params.mask_words;
    count += mask_words(rows[i], vocab_size) + edit_words(rows[i]);
  }
  if (count > 0) {
    gpu.send(reinterpret_cast<std::byte*>(words), count * sizeof(uint32_t), [&](std::byte* data) {
      auto* at = reinterpret_cast<uint32_t*>(data);
      for (const DrawRow& row : rows) at = write_words(at, row, vocab_size);
    });
  }
  draw_rows(gpu.stream(), tokens, by_row, logits.as<float>(), logits.stride_bytes(0) / 4,
            vocab_size, words, batch, static_cast<int>(rows.size()));
}

// As many launches as the rows that want logprobs need.
void find_all_logprobs(Device& gpu, TokenLogprobs* to, const int32_t* by_row, ConstTensor logits,
                       std::span<const DrawRow> rows) {
  LogprobBatch batch;
  const auto run = [&] {
    if (batch.count == 0) return;
    find_logprobs(gpu.stream(), to, by_row, logits.as<float>(), logits.stride_bytes(0) / 4,
                  logits.size(1), batch);
    batch.count = 0;
  };
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].top_logprobs < 0) continue;
    if (batch.count == kLogprobRows) run();
    batch.rows[batch.count++] = {static_cast<int32_t>(i), static_cast<int32_t>(rows[i].row),
                                 rows[i].top_logprobs};
  }
  run();
}

// Where the GPU writes what goes to the host's `to`: there, if it is mapped, or in `room`, from
// which bring() takes it.
template <class T>
struct Answer {
  Answer(std::span<T> host, std::byte* room) : to(host), at(reinterpret_cast<T*>(room)) {
    if (host.empty()) return;
    // A copy of its own for some bytes takes as long as the drawing of a token.
    std::byte* mapped = Device::mapped(reinterpret_cast<std::byte*>(host.data()));
    is_mapped = mapped != nullptr;
    if (is_mapped) at = reinterpret_cast<T*>(mapped);
  }
  void bring(Device& gpu) const {
    if (is_mapped || to.empty()) return;
    gpu.queue_download(reinterpret_cast<std::byte*>(to.data()),
                       reinterpret_cast<const std::byte*>(at), to.size_bytes());
  }

  std::span<T> to;
  T* at;
  bool is_mapped = false;
};

}  // namespace

void queue_draw(Context& ctx, std::span<int32_t> tokens, ConstTensor logits,
                std::span<const DrawRow> rows, std::byte* room, std::span<TokenLogprobs> logprobs) {
  Device& gpu = device_of(ctx);
  if (rows.empty()) return;
  const size_t places = std::max(rows.size(), static_cast<size_t>(logits.size(0)));
  auto* by_row = reinterpret_cast<int32_t*>(room);
  room += places * sizeof(int32_t);
  const Answer drawn(tokens, room);
  room += places * sizeof(int32_t);
  const Answer found(logprobs, room);
  room += places * sizeof(TokenLogprobs);
  auto* words = reinterpret_cast<uint32_t*>(room);
  for (size_t i = 0; i < rows.size(); i += kDrawRows) {
    const auto some = rows.subspan(i, std::min<size_t>(kDrawRows, rows.size() - i));
    draw_some(gpu, drawn.at + i, by_row, logits, some, words);
  }
  if (!logprobs.empty()) find_all_logprobs(gpu, found.at, by_row, logits, rows);
  gpu.remember_drawn(by_row);
  drawn.bring(gpu);
  found.bring(gpu);
}

void remember_drawn(Context& ctx, const std::byte* room) {
  device_of(ctx).remember_drawn(reinterpret_cast<const int32_t*>(room));
}

}  // namespace hachi::ops::cuda
