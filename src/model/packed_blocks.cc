// Packed matrices as rows of blocks.
#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/blocks.h"
#include "kernels/half.h"
#include "model/packed_matrix.h"

namespace hachi::model {
namespace {

// Numbers of a block of any of the three types, and the rows that are unpacked side by side: words
// of neighbouring rows lie side by side in two of the packings.
constexpr int64_t kBlock = 32;
constexpr int64_t kTileRows = 64;
constexpr int kMaxWords = 8;  // of a block: as many as a number has bits

// Which of eight outputs lies at place p of a word of AWQ.
constexpr std::array<int, 8> kAwqOutput = {0, 2, 4, 6, 1, 3, 5, 7};

// A block of each row of a tile as words of consecutive numbers, whatever the packing.
using TileWords = std::array<std::array<uint32_t, kMaxWords>, kTileRows>;

// In place: afterwards number k of word j is what number j of word k was. Swaps ever smaller
// quarters.
void transpose_nibbles(std::array<uint32_t, 8>& words) {
  constexpr std::array<uint32_t, 3> kMasks = {0x0000ffffu, 0x00ff00ffu, 0x0f0f0f0fu};
  size_t half = 4;
  for (const uint32_t mask : kMasks) {
    const auto shift = static_cast<uint32_t>(4 * half);
    for (size_t i = 0; i < 8; ++i) {
      if ((i & half) != 0) continue;
      const uint32_t differing = ((words[i] >> shift) ^ words[i + half]) & mask;
      words[i + half] ^= differing;
      words[i] ^= differing << shift;
    }
    half /= 2;
  }
}

// Eight words of eight inputs, for the eight outputs that share a column of words.
void gather_awq(const PackedMatrix& matrix, int64_t first, int64_t count, int64_t block,
                TileWords& tile) {
  const auto* words = matrix.words.as<uint32_t>();
  const int64_t stride = matrix.rows / 8;
  for (int64_t row = 0; row < count; row += 8) {
    for (int64_t k = 0; k < 4; ++k) {
      const uint32_t* column = words + (block * kBlock + 8 * k) * stride + (first + row) / 8;
      std::array<uint32_t, 8> square;
      for (size_t i = 0; i < 8; ++i) square[i] = column[static_cast<int64_t>(i) * stride];
      transpose_nibbles(square);
      for (size_t p = 0; p < 8; ++p) {
        tile[static_cast<size_t>(row + kAwqOutput[p])][static_cast<size_t>(k)] = square[p];
      }
    }
  }
}

void gather(const PackedMatrix& matrix, int64_t first, int64_t count, int64_t block,
            TileWords& tile) {
  if (matrix.packing == Packing::kAwq) return gather_awq(matrix, first, count, block, tile);
  const auto* words = matrix.words.as<uint32_t>();
  const auto per_block = static_cast<int64_t>(matrix.bits);
  const bool by_row = matrix.packing == Packing::kCompressedTensors;
  const int64_t row_stride = by_row ? matrix.columns / kBlock * per_block : 1;
  const int64_t word_stride = by_row ? 1 : matrix.rows;
  for (int64_t k = 0; k < per_block; ++k) {
    const uint32_t* at = words + first * row_stride + (block * per_block + k) * word_stride;
    for (int64_t row = 0; row < count; ++row) {
      tile[static_cast<size_t>(row)][static_cast<size_t>(k)] = at[row * row_stride];
    }
  }
}

// The eight numbers of a word, one a byte.
uint64_t spread(uint32_t word) {
  uint64_t bytes = word;
  bytes = (bytes | bytes << 16) & 0x0000ffff0000ffffu;
  bytes = (bytes | bytes << 8) & 0x00ff00ff00ff00ffu;
  return (bytes | bytes << 4) & 0x0f0f0f0f0f0f0f0fu;
}

// The second half of a block's numbers lies in the high bits of the bytes of the first.
void write_nibbles(const std::array<uint32_t, kMaxWords>& words, uint8_t* q) {
  const uint64_t first = spread(words[0]) | spread(words[2]) << 4;
  const uint64_t second = spread(words[1]) | spread(words[3]) << 4;
  std::memcpy(q, &first, sizeof first);
  std::memcpy(q + 8, &second, sizeof second);
}

struct Factors {
  uint16_t d;  // f16
  uint16_t m;  // f16, of Q4_1
};

Factors factors(const PackedMatrix& matrix, int64_t row, int64_t group) {
  const float scale = matrix.scale(row, group);
  const float zero = static_cast<float>(matrix.zero(row, group));
  return {ops::f32_to_f16(scale), ops::f32_to_f16(-zero * scale)};
}

template <class Block>
void write_block(const Block& block, std::byte* out) {
  std::memcpy(out, &block, sizeof block);
}

void write_block(const PackedMatrix& matrix, const Factors& factors,
                 const std::array<uint32_t, kMaxWords>& words, std::byte* out) {
  if (matrix.type == DType::kQ4_0) {
    ops::BlockQ4_0 block;
    block.d = factors.d;
    write_nibbles(words, block.q);
    write_block(block, out);
  } else if (matrix.type == DType::kQ4_1) {
    ops::BlockQ4_1 block;
    block.d = factors.d;
    block.m = factors.m;
    write_nibbles(words, block.q);
    write_block(block, out);
  } else {
    ops::BlockQ8_0 block;
    block.d = factors.d;
    for (size_t k = 0; k < kMaxWords; ++k) {
      const uint32_t less_middle = words[k] ^ 0x80808080u;
      std::memcpy(block.q + 4 * k, &less_middle, sizeof less_middle);
    }
    write_block(block, out);
  }
}

void unpack_tile(const PackedMatrix& matrix, int64_t first, int64_t count, std::byte* out) {
  const int64_t row_size = row_bytes(matrix.type, matrix.columns);
  const int64_t block_size = traits(matrix.type).block_bytes;
  std::array<Factors, kTileRows> of_rows;
  TileWords tile;
  for (int64_t block = 0; block < matrix.columns / kBlock; ++block) {
    const int64_t column = block * kBlock;
    if (column % matrix.group == 0) {
      for (int64_t row = 0; row < count; ++row) {
        of_rows[static_cast<size_t>(row)] = factors(matrix, first + row, column / matrix.group);
      }
    }
    gather(matrix, first, count, block, tile);
    for (int64_t row = 0; row < count; ++row) {
      const auto r = static_cast<size_t>(row);
      write_block(matrix, of_rows[r], tile[r], out + (first + row) * row_size + block * block_size);
    }
  }
}

}  // namespace

void unpack(const PackedMatrix& matrix, ThreadPool& pool, std::byte* out) {
  pool.parallel_for(matrix.rows, kTileRows, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kTileRows) {
      unpack_tile(matrix, first, std::min(kTileRows, end - first), out);
    }
  });
}

}  // namespace hachi::model
