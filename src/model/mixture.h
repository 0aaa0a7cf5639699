// The kinds of files that models are quantized to, by the names that people use for them, and the
// type that each tensor has in one. "Q4_K_M" is a mixture: the tensors that suffer most from few
// bits (the values and the down projections of some layers, the output matrix) get more.
//
// The choices are those of llama.cpp's quantizer, tensor for tensor, so that files of the same name
// are the same trade everywhere. tests/model/mixture_goldens.json holds them to it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/dtype.h"

namespace hachi::model {

enum class Mixture {
  kF32,
  kF16,
  kBF16,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kIQ4_NL,
  kIQ4_XS,
  kQ2_K,
  kQ3_K_S,
  kQ3_K_M,
  kQ3_K_L,
  kQ4_K_S,
  kQ4_K_M,
  kQ5_K_S,
  kQ5_K_M,
  kQ6_K,
  kIQ2_XXS,
  kIQ2_XS,
  kIQ2_S,
  kIQ2_M,
  kIQ3_XXS,
  kIQ3_XS,
  kIQ3_S,
  kIQ3_M,
};

struct FileType {
  Mixture mixture;
  std::string_view name;
  uint32_t number;  // GGUF's general.file_type
  DType base;       // what tensors have without a reason for another
};

std::span<const FileType> file_types();

// The one of that name, in any case of letters; "Q3_K", "Q4_K" and "Q5_K" mean their _M.
const FileType* find_file_type(std::string_view name);

// What the choices depend on besides the tensor itself.
struct MixtureModel {
  int64_t num_layers = 0;
  int64_t heads_per_kv = 1;  // query heads that share a key/value head
  bool tied_head = false;    // the embedding is the output matrix
  bool has_importance = false;
  bool has_70b_values = false;  // Llama 70B: 80 layers, tiny value matrices
};

// True of the matrices that are quantized at all: those that are multiplied with activations.
bool is_quantized_tensor(std::string_view name, int rank);

// The type of the tensor `name` (GGUF's name) with rows of `row` elements, for which
// is_quantized_tensor() is true. It may not fit those rows: type_that_fits() sees to that.
DType mixture_type(const FileType& file, const MixtureModel& model, std::string_view name,
                   int64_t row);

// `wanted`, or where rows of `row` elements are not whole blocks of it, the type with smaller
// blocks that stands in for it.
DType type_that_fits(DType wanted, int64_t row);

// The layer of a tensor "blk.N.…"; nothing of others.
std::optional<int64_t> layer_of(std::string_view name);

}  // namespace hachi::model
