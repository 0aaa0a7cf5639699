// Source: the model that is quantized, whatever format it lies in, as the GGUF file that it will
// become: pairs, and tensors under GGUF's names with rows in GGUF's order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "formats/checkpoint.h"
#include "formats/gguf_writer.h"
#include "kernels/context.h"
#include "model/mixture.h"

namespace hachi::quantize {

struct SourceTensor {
  std::string name;
  std::vector<int64_t> sizes;  // outermost first
  ops::Weight weight;          // the same elements as [rows, columns]
  // Above 0: a matrix of that many heads whose rows GGUF has in another order: within a head, the
  // two halves that rotate together become neighbours (llama.cpp's layout of Llama models).
  int64_t interleaved_heads = 0;

  int64_t rows() const { return weight.values.size(0); }
  int64_t columns() const { return weight.values.size(1); }
  int64_t elements() const { return rows() * columns(); }
  bool in_order() const { return interleaved_heads == 0; }  // of the source
  // Its rows as they are can be those of the file, in panels or not, in whatever order.
  bool is_stored_as(DType type) const { return weight.values.dtype() == type && !weight.scales; }
};

struct Source {
  std::shared_ptr<const formats::Checkpoint> checkpoint;
  formats::GgufPairList pairs;
  std::vector<SourceTensor> tensors;  // those of no layer first, then layer by layer
  model::MixtureModel model;          // but for has_importance
  std::vector<Buffer> owned;          // of tensors that the checkpoint does not have

  bool is_quantized() const;  // some matrix is of a block type already
};

// Fails with kUnsupported for a mixture of experts and, in Hugging Face folders, for what GGUF
// cannot say.
Result<Source> open_source(std::shared_ptr<const formats::Checkpoint> checkpoint);

// Rows [first, first + count) of the tensor, in its order, as the source has them, whether they lie
// in panels there or not. For a tensor that is stored as the type that it has.
void copy_rows(const SourceTensor& tensor, int64_t first, int64_t count, std::byte* out);

// The same rows as f32 [count, columns].
void read_rows(const SourceTensor& tensor, int64_t first, int64_t count, float* out);

}  // namespace hachi::quantize
