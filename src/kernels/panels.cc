#include "kernels/panels.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "kernels/blocks.h"

namespace hachi::ops {
namespace {

template <class Block>
constexpr PanelField field(size_t offset, size_t bytes) {
  static_assert(sizeof(Block) < 256);
  return {static_cast<int>(offset), static_cast<int>(bytes)};
}

#define HACHI_FIELD(Block, name) field<Block>(offsetof(Block, name), sizeof(Block::name))

constexpr PanelField kF32Fields[] = {{0, 4}};
constexpr PanelField kF16Fields[] = {{0, 2}};
constexpr PanelField kQ4_0Fields[] = {HACHI_FIELD(BlockQ4_0, q), HACHI_FIELD(BlockQ4_0, d)};
constexpr PanelField kQ4_1Fields[] = {HACHI_FIELD(BlockQ4_1, q), HACHI_FIELD(BlockQ4_1, d),
                                      HACHI_FIELD(BlockQ4_1, m)};
constexpr PanelField kQ5_0Fields[] = {HACHI_FIELD(BlockQ5_0, q), HACHI_FIELD(BlockQ5_0, high),
                                      HACHI_FIELD(BlockQ5_0, d)};
constexpr PanelField kQ5_1Fields[] = {HACHI_FIELD(BlockQ5_1, q), HACHI_FIELD(BlockQ5_1, high),
                                      HACHI_FIELD(BlockQ5_1, d), HACHI_FIELD(BlockQ5_1, m)};
constexpr PanelField kQ8_0Fields[] = {HACHI_FIELD(BlockQ8_0, q), HACHI_FIELD(BlockQ8_0, d)};
constexpr PanelField kIQ4_NLFields[] = {HACHI_FIELD(BlockIQ4_NL, q), HACHI_FIELD(BlockIQ4_NL, d)};
constexpr PanelField kQ2_KFields[] = {HACHI_FIELD(BlockQ2_K, scales), HACHI_FIELD(BlockQ2_K, q),
                                      HACHI_FIELD(BlockQ2_K, d), HACHI_FIELD(BlockQ2_K, dmin)};
constexpr PanelField kQ3_KFields[] = {HACHI_FIELD(BlockQ3_K, scales), HACHI_FIELD(BlockQ3_K, high),
                                      HACHI_FIELD(BlockQ3_K, q), HACHI_FIELD(BlockQ3_K, d)};
constexpr PanelField kQ4_KFields[] = {HACHI_FIELD(BlockQ4_K, scales), HACHI_FIELD(BlockQ4_K, q),
                                      HACHI_FIELD(BlockQ4_K, d), HACHI_FIELD(BlockQ4_K, dmin)};
constexpr PanelField kQ5_KFields[] = {HACHI_FIELD(BlockQ5_K, scales), HACHI_FIELD(BlockQ5_K, high),
                                      HACHI_FIELD(BlockQ5_K, q), HACHI_FIELD(BlockQ5_K, d),
                                      HACHI_FIELD(BlockQ5_K, dmin)};
constexpr PanelField kQ6_KFields[] = {HACHI_FIELD(BlockQ6_K, scales), HACHI_FIELD(BlockQ6_K, high),
                                      HACHI_FIELD(BlockQ6_K, q), HACHI_FIELD(BlockQ6_K, d)};
constexpr PanelField kIQ4_XSFields[] = {HACHI_FIELD(BlockIQ4_XS, scales_low),
                                        HACHI_FIELD(BlockIQ4_XS, scales_high),
                                        HACHI_FIELD(BlockIQ4_XS, d), HACHI_FIELD(BlockIQ4_XS, q)};

#undef HACHI_FIELD

template <class Block>
PanelFormat blocks_of(int elements, std::span<const PanelField> fields) {
  return {elements, static_cast<int>(sizeof(Block)), fields};
}

// Copies word `from` of one row to its place among 16; the words of a row lie 16 * kWord apart.
template <int kWord>
void spread(const std::byte* from, int64_t words, std::byte* to) {
  for (int64_t i = 0; i < words; ++i) {
    std::memcpy(to + i * kPanelRows * kWord, from + i * kWord, kWord);
  }
}

template <int kWord>
void gather(const std::byte* from, int64_t words, std::byte* to) {
  for (int64_t i = 0; i < words; ++i) {
    std::memcpy(to + i * kWord, from + i * kPanelRows * kWord, kWord);
  }
}

}  // namespace

PanelFormat panel_format(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return {1, 4, kF32Fields};
    case DType::kF16:
      return {1, 2, kF16Fields};
    case DType::kBF16:
      return {2, 4, kF32Fields};
    case DType::kQ4_0:
      return blocks_of<BlockQ4_0>(32, kQ4_0Fields);
    case DType::kQ4_1:
      return blocks_of<BlockQ4_1>(32, kQ4_1Fields);
    case DType::kQ5_0:
      return blocks_of<BlockQ5_0>(32, kQ5_0Fields);
    case DType::kQ5_1:
      return blocks_of<BlockQ5_1>(32, kQ5_1Fields);
    case DType::kQ8_0:
      return blocks_of<BlockQ8_0>(32, kQ8_0Fields);
    case DType::kIQ4_NL:
      return blocks_of<BlockIQ4_NL>(32, kIQ4_NLFields);
    case DType::kQ2_K:
      return blocks_of<BlockQ2_K>(256, kQ2_KFields);
    case DType::kQ3_K:
      return blocks_of<BlockQ3_K>(256, kQ3_KFields);
    case DType::kQ4_K:
      return blocks_of<BlockQ4_K>(256, kQ4_KFields);
    case DType::kQ5_K:
      return blocks_of<BlockQ5_K>(256, kQ5_KFields);
    case DType::kQ6_K:
      return blocks_of<BlockQ6_K>(256, kQ6_KFields);
    case DType::kIQ4_XS:
      return blocks_of<BlockIQ4_XS>(256, kIQ4_XSFields);
    default:
      return {};
  }
}

bool has_panels(DType dtype, int64_t columns) {
  const PanelFormat format = panel_format(dtype);
  return !format.fields.empty() && columns % format.elements == 0;
}

int64_t panels_bytes(DType dtype, int64_t rows, int64_t columns) {
  return num_panels(rows) * kPanelRows * row_bytes(dtype, columns);
}

namespace {

// Turns rows [16 * panel, 16 * panel + 16) into the panel at `out`.
void pack_panel(const ConstTensor& rows, int64_t panel, std::byte* out) {
  const PanelFormat format = panel_format(rows.dtype());
  const int64_t blocks = rows.size(1) / format.elements;
  const int64_t first = panel * kPanelRows;
  const int64_t count = std::min(kPanelRows, rows.size(0) - first);
  if (count < kPanelRows) {
    std::memset(out, 0, static_cast<size_t>(kPanelRows * blocks * format.bytes));
  }
  for (int64_t b = 0; b < blocks; ++b) {
    for (const PanelField& field : format.fields) {
      const int64_t words = field.bytes / field.word();
      for (int64_t r = 0; r < count; ++r) {
        const std::byte* from = rows.row(first + r) + b * format.bytes + field.offset;
        if (field.word() == 2) {
          spread<2>(from, words, out + r * 2);
        } else {
          spread<4>(from, words, out + r * 4);
        }
      }
      out += kPanelRows * field.bytes;
    }
  }
}

}  // namespace

void pack_panels(ThreadPool& pool, const ConstTensor& rows, std::byte* out) {
  const int64_t bytes = kPanelRows * row_bytes(rows.dtype(), rows.size(1));
  pool.parallel_for(num_panels(rows.size(0)), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) pack_panel(rows, p, out + p * bytes);
  });
}

void unpack_panel_row(DType dtype, const std::byte* panels, int64_t columns, int64_t row,
                      int64_t first, int64_t count, std::byte* out) {
  const PanelFormat format = panel_format(dtype);
  const int64_t blocks = columns / format.elements;
  const int64_t r = row % kPanelRows;
  const std::byte* from = panels + (row / kPanelRows * blocks + first) * kPanelRows * format.bytes;
  for (int64_t b = 0; b < count; ++b, out += format.bytes) {
    for (const PanelField& field : format.fields) {
      const int64_t words = field.bytes / field.word();
      if (field.word() == 2) {
        gather<2>(from + r * 2, words, out + field.offset);
      } else {
        gather<4>(from + r * 4, words, out + field.offset);
      }
      from += kPanelRows * field.bytes;
    }
  }
}

}  // namespace hachi::ops
