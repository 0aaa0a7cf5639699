// Products with weights held in panels. The activations are rounded once and laid out for groups of
// tokens; then each thread walks over its own run of panels, a few at a time: small enough to stay
// in the second-level cache while all tokens meet them.
#include "kernels/cpu/matmul_panels.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/grain.h"
#include "kernels/cpu/panel_input.h"
#include "kernels/cpu/select.h"
#include "kernels/int8_row.h"

namespace hachi::ops::cpu {
namespace {

constexpr int64_t kPanelsTogether = 8;
constexpr int64_t kBytesTogether = 256 << 10;  // of panels: a part of the second-level cache
// Of all panels taken together with all tokens taken together: at least 8 * 16 * 16.
constexpr int64_t kMaxSums = 64 << 10;

constexpr int64_t kTileTokens = 16;

// BF16 goes through tiles with any number of tokens, as its sums have bits of their own there. The
// last group has room for 16: what is not there is neither written nor read again.
bool rounds(const InnerLoops& loops, DType dtype, int64_t columns) {
  return loops.dot_tiles != nullptr && dtype == DType::kBF16 && columns % 32 == 0;
}

// What panels of the type are multiplied with, but for the order of tokens in tiles.
PanelInput input_format(const InnerLoops& loops, DType dtype, int64_t columns) {
  if (rounds(loops, dtype, columns)) return rounded_input();
  return panel_input(dtype, loops.signed_bytes);
}

// The groups of tokens that are laid out and multiplied together: those for tiles first, then the
// largest that the set has: 12, 8, 4, 2, 1.
class Groups {
 public:
  Groups(const InnerLoops& loops, const PanelInput& format, int64_t tokens)
      : max_(loops.max_panel_tokens), sixteen_(max_ >= 16 && !format.plain()), tokens_(tokens) {
    if (format.rounded) {
      tiled_ = tokens_ = (tokens + kTileTokens - 1) / kTileTokens * kTileTokens;
    } else if (loops.dot_tiles != nullptr && !format.plain()) {
      tiled_ = tokens / kTileTokens * kTileTokens;
    }
  }
  int64_t tiled() const { return tiled_; }    // tokens that go through tiles
  int64_t tokens() const { return tokens_; }  // with those that fill up the last group
  // Of the group that starts at this token.
  int64_t size(int64_t first) const {
    if (first < tiled_) return kTileTokens;
    const int64_t left = tokens_ - first;
    if (sixteen_ && left >= 16 && left % 12 == 4) return 16;
    for (const int64_t size : {12, 8, 4, 2}) {
      if (size <= max_ && size <= left) return size;
    }
    return 1;
  }

 private:
  int max_;
  bool sixteen_;  // not for plain types
  int64_t tokens_;
  int64_t tiled_ = 0;
};

// Of so many tokens of a group.
int64_t input_bytes(const PanelInput& format, int64_t elements, int64_t tokens) {
  return elements / format.block * format.words() * tokens * 4;
}

constexpr int64_t kSlab = 256;  // elements that are written together

// Writes rows of x to their places in a group, or in group `index` of the `groups` of slabs.
class InputWriter {
 public:
  InputWriter(const InnerLoops& loops, DType dtype, const PanelInput& format, int64_t tokens,
              int64_t index, int64_t groups, std::byte* data)
      : loops_(loops),
        dtype_(dtype),
        format_(format),
        tokens_(tokens),
        index_(index),
        groups_(groups),
        data_(data) {}

  // Of token m of the group, elements [begin, begin + n): a slab, or what is left of a row.
  void write(const float* x, int64_t begin, int64_t n, int64_t m) {
    out_ = data_ + begin / kSlab * groups_ * input_bytes(format_, kSlab, tokens_) +
           index_ * input_bytes(format_, n, tokens_);
    if (format_.rounded) {
      write_rounded(x + begin, n, m);
    } else if (format_.plain()) {
      for (int64_t i = 0; i < n; ++i) put(i, m, &x[begin + i]);
    } else {
      write_bytes(x + begin, n, m);
    }
  }

 private:
  void put(int64_t word, int64_t m, const void* value) const {
    std::memcpy(out_ + (word * tokens_ + m) * 4, value, 4);
  }

  void write_bytes(const float* x, int64_t count, int64_t m) {
    int8_t q[kSlab];
    float scales[8], sums[16];
    loops_.round_to_int8(dtype_, x, count, {q, scales, sums});
    for (int64_t i = 0; i < count; i += format_.block) {
      const int64_t at = i / format_.block * format_.words();
      put(at, m, &scales[i / 32]);
      if (format_.mins && format_.block == 32) put(at + 1, m, &sums[i / 16]);
      if (format_.start_words() > 0) write_starts(q + i, at + format_.starts_at(), m);
      if (format_.mins && format_.block == 256) write_sums(q + i, at + format_.sums_at(), m);
      write_q(q + i, at + format_.q_at(), m);
    }
  }

  void write_q(const int8_t* q, int64_t at, int64_t m) {
    const int64_t words = format_.block / 4, run = format_.run, step = run * tokens_ * 4;
    std::byte* out = out_ + (at * tokens_ + m * run) * 4;
    if (run == 1) {
      for (int64_t j = 0; j < words; ++j, out += step) std::memcpy(out, q + 4 * j, 4);
      return;
    }
    for (int64_t j = 0; j < words; j += run, out += step) {
      std::memcpy(out, q + 4 * j, static_cast<size_t>(run * 4));
    }
  }

  void write_rounded(const float* x, int64_t count, int64_t m) {
    std::byte rounded[2 * kSlab];
    loops_.encode(DType::kBF16, x, count, rounded);
    for (int64_t i = 0; i < count; i += 32) {
      std::memcpy(out_ + (i / 32 * kTileTokens + m) * 64, rounded + 2 * i, 64);
    }
  }

  int32_t group_sum(const int8_t* q, int64_t group) const {
    int32_t sum = 0;
    for (int64_t i = 0; i < format_.group; ++i) sum += q[group * format_.group + i];
    return sum;
  }

  void write_starts(const int8_t* q, int64_t at, int64_t m) {
    for (int64_t g = 0; g < format_.groups(); ++g) {
      const int32_t start = -format_.offset * group_sum(q, g);
      put(at + g, m, &start);
    }
  }

  void write_sums(const int8_t* q, int64_t at, int64_t m) {
    for (int64_t i = 0; i < format_.sum_words(); ++i) {
      const int64_t group = i / 2 * 4 + i % 2;
      const int16_t pair[2] = {static_cast<int16_t>(group_sum(q, group)),
                               static_cast<int16_t>(group_sum(q, group + 2))};
      put(at + i, m, pair);
    }
  }

  const InnerLoops& loops_;
  DType dtype_;
  PanelInput format_;
  int64_t tokens_;
  int64_t index_, groups_;
  std::byte* data_;
  std::byte* out_ = nullptr;  // of the slab
};

// The activations of all tokens as one type of weights takes them: group after group.
struct Input {
  PanelInput format;
  DType dtype;  // a type of that format and rounding
  int64_t token_bytes;
  std::byte* data;
  std::byte* group(int64_t first_token) const { return data + first_token * token_bytes; }
};

struct Work {
  const InnerLoops& loops;
  ConstTensor x;
  bool add;
};

// Slabs [begin, end) of all tokens. Tokens of a group stand side by side, so threads that shared a
// group by its tokens would write to the same cache lines.
void write_input(const Work& work, const Input& input, int64_t begin, int64_t end) {
  const Groups groups(work.loops, input.format, work.x.size(0));
  const int64_t columns = work.x.size(1);
  int64_t size = 0;
  for (int64_t first = 0; first < groups.tokens(); first += size) {
    size = groups.size(first);
    const bool tiled = first < groups.tiled();
    const PanelInput format = tiled && !input.format.rounded ? input.format.tiled() : input.format;
    InputWriter writer(work.loops, input.dtype, format, size, tiled ? first / kTileTokens : 0,
                       tiled ? groups.tiled() / kTileTokens : 1, input.group(tiled ? 0 : first));
    const int64_t tokens = std::min(size, work.x.size(0) - first);
    for (int64_t k = begin * kSlab; k < std::min(end * kSlab, columns); k += kSlab) {
      const int64_t count = std::min(kSlab, columns - k);
      for (int64_t m = 0; m < tokens; ++m) {
        writer.write(work.x.row<float>(first + m), k, count, m);
      }
    }
  }
}

void write_results(float* to, const float* from, int64_t count, bool add) {
  if (count == kPanelRows && !add) {
    std::memcpy(to, from, kPanelRows * sizeof(float));
  } else if (count == kPanelRows) {
    for (int r = 0; r < kPanelRows; ++r) to[r] += from[r];
  } else {
    for (int64_t r = 0; r < count; ++r) to[r] = add ? to[r] + from[r] : from[r];
  }
}

// Sixteen results a panel and token, as far as the matrix has rows and the batch tokens.
void write_output(const Work& work, const Product& product, const PanelTile& tile,
                  int64_t first_panel, int64_t first_token) {
  const int64_t rows = product.w->values.size(0);
  const int64_t results = tile.tokens * tile.groups;  // a panel
  const int64_t tokens = std::min(results, work.x.size(0) - first_token);
  for (int64_t m = 0; m < tokens; ++m) {
    float* y = product.y.row<float>(first_token + m);
    for (int64_t p = 0; p < tile.count; ++p) {
      const int64_t row = (first_panel + p) * kPanelRows;
      const int64_t count = std::min(kPanelRows, rows - row);
      const float* from = tile.out + (p * results + m) * kPanelRows;
      write_results(y + row, from, count, work.add);
    }
  }
}

// Panels [begin, end) of one product with all tokens.
void multiply_run(const Work& work, const Product& product, const Input& input, int64_t begin,
                  int64_t end) {
  alignas(64) float out[kMaxSums];
  const DType dtype = product.w->values.dtype();
  const Groups groups(work.loops, input.format, work.x.size(0));
  const int64_t bytes = kPanelRows * row_bytes(dtype, work.x.size(1));
  const int64_t together = groups.tiled() > 0
                               ? kTilePanels
                               : std::clamp<int64_t>(kBytesTogether / bytes, 1, kPanelsTogether);
  for (int64_t p = begin; p < end; p += together) {
    PanelTile tile{.dtype = dtype,
                   .panels = product.w->panels + p * bytes,
                   .count = std::min(together, end - p),
                   .panel_bytes = bytes,
                   .columns = work.x.size(1),
                   .out = out};
    int64_t taken = 0;
    for (int64_t t = 0; t < groups.tokens(); t += taken) {
      taken = groups.size(t);
      tile.tokens = static_cast<int>(taken);
      tile.groups = 1;
      tile.x = input.group(t);
      if (t < groups.tiled()) {
        const int64_t most = kMaxSums / (tile.count * kPanelRows * kTileTokens);
        tile.x = input.data;
        tile.x_groups = groups.tiled() / kTileTokens;
        tile.first_group = t / kTileTokens;
        tile.groups = std::min(most, (groups.tiled() - t) / kTileTokens);
        if (tile.x_groups == 1) tile.tokens = static_cast<int>(std::min(taken, work.x.size(0) - t));
        work.loops.dot_tiles(tile);
        taken *= tile.groups;
      } else {
        work.loops.dot_panels(tile);
      }
      write_output(work, product, tile, p, t);
    }
  }
}

// One input for each format that the products need.
class Inputs {
 public:
  Inputs(const Work& work, std::span<const Product> products, Workspace& workspace) {
    int64_t bytes = 0;
    for (const Product& product : products) {
      const DType dtype = product.w->values.dtype();
      const PanelInput format = input_format(work.loops, dtype, work.x.size(1));
      if (find(format) != nullptr) continue;
      CHECK(count_ < kMaxFormats);
      const int64_t token_bytes = work.x.size(1) / format.block * format.words() * 4;
      inputs_[count_++] = {format, dtype, token_bytes, nullptr};
      bytes += bytes_of(work, inputs_[count_ - 1]);
    }
    std::byte* at = workspace.reserve(bytes);
    for (Input& input : all()) {
      input.data = at;
      at += bytes_of(work, input);
    }
  }
  std::span<Input> all() { return {inputs_, count_}; }
  const Input* find(const PanelInput& format) const {
    for (size_t i = 0; i < count_; ++i) {
      if (inputs_[i].format == format) return &inputs_[i];
    }
    return nullptr;
  }

 private:
  static int64_t bytes_of(const Work& work, const Input& input) {
    const Groups groups(work.loops, input.format, work.x.size(0));
    return (groups.tokens() * input.token_bytes + 63) / 64 * 64;
  }

  static constexpr size_t kMaxFormats = 8;
  Input inputs_[kMaxFormats];
  size_t count_ = 0;
};

}  // namespace

bool takes_panels(const InnerLoops& loops, const Weight& w) {
  return w.panels != nullptr && loops.dot_panels != nullptr;
}

void multiply_panels(Context& ctx, std::span<const Product> products, ConstTensor x, bool add) {
  const Work work{inner_loops(ctx.features), x, add};
  Inputs inputs(work, products, ctx.workspace);
  const int64_t slabs = (x.size(1) + kSlab - 1) / kSlab;
  const int64_t together = cheap_rows(slabs, kSlab * x.size(0), ctx.pool->num_threads());
  ctx.pool->parallel_for(slabs, together, [&](int64_t begin, int64_t end) {
    for (const Input& input : inputs.all()) write_input(work, input, begin, end);
  });
  int64_t panels = 0;
  for (const Product& product : products) panels += num_panels(product.w->values.size(0));
  ctx.pool->parallel_for(panels, x.size(0) > 1 ? 2 : 1, [&](int64_t begin, int64_t end) {
    int64_t first = 0;  // of the product, among all panels
    for (const Product& product : products) {
      const int64_t count = num_panels(product.w->values.size(0));
      const int64_t from = std::clamp<int64_t>(begin - first, 0, count);
      const int64_t to = std::clamp<int64_t>(end - first, 0, count);
      const DType dtype = product.w->values.dtype();
      const Input* input = inputs.find(input_format(work.loops, dtype, x.size(1)));
      multiply_run(work, product, *input, from, to);
      first += count;
    }
  });
}

}  // namespace hachi::ops::cpu
