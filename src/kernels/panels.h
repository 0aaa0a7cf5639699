// Panels: a matrix in the order in which vectors take it. A panel holds 16 rows; the elements that
// 16 rows have in the same places lie side by side, so that one vector load gives every row four
// bytes (or one 16-bit number), and sixteen dot products grow in the sixteen lanes of one register.
//
// A row is a run of blocks (blocks.h), a block is a list of fields. A panel goes block after block,
// in a block field after field as panels.cc lists them, in a field word after word:
//
//   | block 0                                                                        | block 1 ...
//   | first field                                    | next field                    |
//   | word 0              | word 1             | ... | word 0                        |
//   | row 0 row 1 ... 15  | row 0 row 1 ... 15 |     | row 0 row 1 ... 15            |
//
// so that a product reads memory in one stream. A word is four bytes of the field in the file's
// order, or two where a field has only two. Nothing is added but zeros for rows that are not there,
// so a panel takes 16 times the bytes of a row. Plain types: F32 is a block of one word of four
// bytes, F16 of one of two, BF16 of two elements in one word of four.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/tensor.h"
#include "core/thread_pool.h"

namespace hachi::ops {

inline constexpr int64_t kPanelRows = 16;

// Where a field lies in a block.
struct PanelField {
  int offset;
  int bytes;  // 2, or a multiple of 4
  int word() const { return bytes == 2 ? 2 : 4; }
};

// How a type is cut for panels; no fields: it has none.
struct PanelFormat {
  int elements;  // a block
  int bytes;     // a block
  std::span<const PanelField> fields;
};
PanelFormat panel_format(DType dtype);

// True if a matrix [rows, columns] of that type can be held in panels.
bool has_panels(DType dtype, int64_t columns);

// Of all panels of a matrix [rows, columns].
int64_t panels_bytes(DType dtype, int64_t rows, int64_t columns);
inline int64_t num_panels(int64_t rows) { return (rows + kPanelRows - 1) / kPanelRows; }

// All rows of a matrix as panels at `out`, which has panels_bytes().
void pack_panels(ThreadPool& pool, const ConstTensor& rows, std::byte* out);

// The bytes of blocks [first, first + count) of a row, as a file has them.
void unpack_panel_row(DType dtype, const std::byte* panels, int64_t columns, int64_t row,
                      int64_t first, int64_t count, std::byte* out);

}  // namespace hachi::ops
