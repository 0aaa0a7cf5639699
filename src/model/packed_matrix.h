// Matrices of 4 or 8 bits as GPTQ, AWQ and compressed-tensors publish them in Hugging Face folders:
// whole numbers packed into words of 32 bits, with a scale and a zero point for each row and group
// of columns, in tensors of their own. w = (q - zero) * scale.
//
// Letters: O rows (outputs), I columns (inputs), N = I / group, n = 32 / bits numbers a word, the
// first in its lowest bits.
//
//   GPTQ                qweight [I/n,O], qzeros [N,O/n], scales [N,O], g_idx [I]
//   AWQ ("gemm")        qweight [I,O/8], qzeros [N,O/8], scales [N,O]; outputs in the order
//                       0, 2, 4, 6, 1, 3, 5, 7 within a word
//   compressed-tensors  weight_packed [O,I/n], weight_zero_point [O/n,N], weight_scale [O,N], [O,1]
//   ("pack-quantized")  or [1]; without zero points all are 2^(bits - 1)
//
// GPTQ's first format ("gptq") stores each word of zero points less one in all of its numbers, with
// borrows from one to the next; its second ("gptq_v2") stores them as they are. Sources: the
// packing code of AutoGPTQ and GPTQModel, AutoAWQ and compressed-tensors.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/tensor.h"
#include "core/thread_pool.h"
#include "formats/checkpoint.h"

namespace hachi::model {

enum class Packing { kGptq, kAwq, kCompressedTensors };

std::string_view name(Packing packing);

struct PackedMatrix {
  Packing packing = Packing::kGptq;
  int bits = 4;  // or 8
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t group = 0;  // columns that share a scale and a zero point; a multiple of 32
  ConstTensor words;
  ConstTensor scales;       // F32, F16 or BF16
  ConstTensor zeros;        // words; or none: all are 2^(bits - 1)
  uint32_t zero_carry = 0;  // what is added to each word of `zeros`

  // The block type that holds it: Q4_0 or Q8_0, exactly but for scales that F16 does not have, or
  // Q4_1 if there are other zero points than the middle: there -zero * scale is rounded to F16, by
  // at most 2^-11 of itself, or 2^-25.
  DType type = DType::kQ4_0;

  int middle() const { return 1 << (bits - 1); }
  float scale(int64_t row, int64_t group_index) const;
  int zero(int64_t row, int64_t group_index) const;
};

// True if there is a packed matrix of that name, which has no ".weight" at its end.
bool is_packed(const formats::Checkpoint& checkpoint, std::string_view name);

// The packed matrix of that name, [rows, columns]; nothing if there is none. Fails with
// kCorrupt, naming the tensor, if one is missing or has a wrong shape or values, and with
// kUnsupported for what no block type holds: groups that are no multiple of 32, columns in an
// order of their own (desc_act), a bias, other numbers of bits, other packings.
Result<std::optional<PackedMatrix>> find_packed(const formats::Checkpoint& checkpoint,
                                                const std::string& name, int64_t rows,
                                                int64_t columns);

// Writes the matrix to `out` as rows of `matrix.type`.
void unpack(const PackedMatrix& matrix, ThreadPool& pool, std::byte* out);

}  // namespace hachi::model
