// What the host's side of the ops and the kernels of a GPU have in common. All pointers are to the
// GPU's memory. CUDA headers are included by .cu and .cuh files alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/dtype.h"

struct CUstream_st;

namespace hachi::ops::cuda {

using Stream = CUstream_st*;  // a cudaStream_t

inline constexpr size_t kMaxGpus = 64;  // of a machine

// Rows of activations that stream_matmul() takes at most; it reads the weights once for every
// eight, of kF8 for every four, and of kBF16 with more than four rows, or with x in e4m3, for all.
inline constexpr int kMaxStreamRows = 64;

// How a matrix [O,I] lies in memory.
enum class Layout {
  kF32,      // rows, dense
  kBF16,     // rows, dense
  kF8,       // rows of e4m3, dense, and their scales
  kInt4,     // tiles (tiles.h), 4 bits a weight and one f16 scale for 32: (q - 8) * scale
  kInt4Min,  // the same with a least value: q * scale + min, both f16
  kInt8,     // 8 bits and one f16 scale for 32
  kInt8Half  // 8 bits and one f16 scale for 16
};

// Which weights of a kF8 matrix share a scale.
enum class ScaleSpan { kMatrix, kRow, kBlock128 };

struct Matrix {
  Layout layout = Layout::kBF16;
  int64_t outputs = 0;  // O
  int64_t inputs = 0;   // I
  const void* data = nullptr;
  ScaleSpan span = ScaleSpan::kMatrix;
  const float* scales = nullptr;  // kF8: [1], [O] or [ceil(O/128), ceil(I/128)]; null: 1
};

// The input of a product as the matrix units take it: rows [T,I], dense. Weights of kBF16 and kF8
// are multiplied with bf16, those in tiles with int8 in groups of 32: x = q * scale, with
// scale = max |x| / 127.
// Those of kF8 may be multiplied with e4m3, x = q * scale with a scale for each row.
enum class OperandType { kBF16, kInt8, kE4M3 };

struct OperandGroup {
  float scale;
  int32_t sum;  // of the group's q
};

struct Operand {
  OperandType type = OperandType::kBF16;
  void* rows = nullptr;            // bf16, int8 or e4m3 [T,I]
  const float* scales = nullptr;   // kE4M3: [T]
  OperandGroup* groups = nullptr;  // kInt8: [T,I/32]
  // The sums of squares of 32 elements each, [T,I/32], if rows hold x * norm and the division by
  // RMS(x) is still to come; else null.
  float* squares = nullptr;
};

// A step's tokens, as BatchView has them.
struct DeviceBatch {
  const int32_t* ids = nullptr;          // [T]
  const int32_t* positions = nullptr;    // [T]
  const int32_t* sequences = nullptr;    // [T], of each token
  const int32_t* first_token = nullptr;  // [S+1], of each sequence; the last is T
  const int32_t* first_page = nullptr;   // [S], where its page numbers begin in `pages`
  const int32_t* pages = nullptr;
  int64_t num_tokens = 0;     // T
  int64_t num_sequences = 0;  // S
  int64_t num_skipped = 0;    // of the first sequences, one token each, that an op leaves out
};

// One layer's cache. Keys and values of one head in one page are [P,D], dense, P = kPagePositions.
struct KvPages {
  void* keys = nullptr;
  void* values = nullptr;
  int64_t page_bytes = 0;      // from one page to the next; the heads of a page follow each other
  DType dtype = DType::kBF16;  // kF32, kF16, kBF16, kF8E4M3
};

}  // namespace hachi::ops::cuda
