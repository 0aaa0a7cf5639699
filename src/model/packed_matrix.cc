#include "model/packed_matrix.h"

#include <array>
#include <cmath>

#include "kernels/half.h"
#include "model/packed_config.h"

namespace hachi::model {
namespace {

using formats::Checkpoint;
using formats::TensorEntry;

constexpr int64_t kBlock = 32;  // columns of a block of all types that hold packed matrices

// Where in a word of AWQ output c % 8 lies.
constexpr std::array<int, 8> kAwqPlace = {0, 4, 1, 5, 2, 6, 3, 7};

bool is_float(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

float float_at(const ConstTensor& tensor, int64_t index) {
  switch (tensor.dtype()) {
    case DType::kF32:
      return tensor.as<float>()[index];
    case DType::kF16:
      return ops::f16_to_f32(tensor.as<uint16_t>()[index]);
    default:
      return ops::bf16_to_f32(tensor.as<uint16_t>()[index]);
  }
}

bool fits_f16(float value) { return std::isfinite(ops::f16_to_f32(ops::f32_to_f16(value))); }

bool has_shape(const ConstTensor& tensor, int64_t rows, int64_t columns) {
  return tensor.rank() == 2 && tensor.size(0) == rows && tensor.size(1) == columns;
}

// Finds the tensors of one matrix and checks each against the others.
class Finder {
 public:
  Finder(const Checkpoint& checkpoint, const std::string& name, const PackedConfig& config)
      : checkpoint_(checkpoint), name_(name), config_(config) {}

  Result<PackedMatrix> find(int64_t rows, int64_t columns) {
    matrix_.packing = config_.packing;
    matrix_.rows = rows;
    matrix_.columns = columns;
    TRY(find_words());
    TRY(find_scales());
    TRY(find_zeros());
    TRY(check_order());
    TRY(check_bias());
    TRY(choose_type());
    return matrix_;
  }

 private:
  bool compressed() const { return matrix_.packing == Packing::kCompressedTensors; }
  int64_t groups() const { return matrix_.columns / matrix_.group; }

  const TensorEntry* lookup(std::string_view suffix) const {
    return checkpoint_.find(name_ + std::string(suffix));
  }

  template <class... Args>
  tl::unexpected<Error> wrong(Code code, std::string_view suffix,
                              fmt::format_string<Args...> format, Args&&... args) const {
    return fail(code, "{}: {}{} {}", checkpoint_.path().string(), name_, suffix,
                fmt::format(format, std::forward<Args>(args)...));
  }

  Result<ConstTensor> tensor(std::string_view suffix) const {
    const TensorEntry* entry = lookup(suffix);
    if (entry == nullptr) return wrong(Code::kCorrupt, suffix, "is missing");
    const auto bytes = static_cast<uintptr_t>(row_bytes(entry->data.dtype(), 1));
    if (reinterpret_cast<uintptr_t>(entry->data.data()) % bytes != 0) {
      return wrong(Code::kUnsupported, suffix,
                   "does not begin at a multiple of its elements' {} bytes: write the file again",
                   bytes);
    }
    return entry->data;
  }

  Result<ConstTensor> whole_numbers(std::string_view suffix) const {
    TRY(const ConstTensor found, tensor(suffix));
    if (found.dtype() != DType::kI32) {
      return wrong(Code::kCorrupt, suffix, "has the type {}, and must be I32",
                   core::name(found.dtype()));
    }
    return found;
  }

  bool words_hold(int bits) const {
    const int64_t per_word = 32 / bits;
    const int64_t rows = matrix_.rows;
    const int64_t columns = matrix_.columns;
    switch (matrix_.packing) {
      case Packing::kGptq:
        return has_shape(matrix_.words, columns / per_word, rows);
      case Packing::kAwq:
        return bits == 4 && rows % per_word == 0 &&
               has_shape(matrix_.words, columns, rows / per_word);
      case Packing::kCompressedTensors:
        break;
    }
    return has_shape(matrix_.words, rows, columns / per_word);
  }

  Result<void> find_words() {
    const std::string_view suffix = compressed() ? ".weight_packed" : ".qweight";
    TRY(matrix_.words, whole_numbers(suffix));
    if (matrix_.columns % kBlock != 0) {
      return wrong(Code::kUnsupported, suffix, "has {} columns, and must have a multiple of {}",
                   matrix_.columns, kBlock);
    }
    for (const int bits : {4, 8}) {
      if (!words_hold(bits)) continue;
      matrix_.bits = bits;
      return {};
    }
    return wrong(Code::kUnsupported, suffix,
                 "has another shape than {} x {} numbers of {} bits have in {}", matrix_.rows,
                 matrix_.columns, matrix_.packing == Packing::kAwq ? "4" : "4 or 8",
                 model::name(matrix_.packing));
  }

  Result<void> find_scales() {
    const std::string_view suffix = compressed() ? ".weight_scale" : ".scales";
    TRY(matrix_.scales, tensor(suffix));
    const ConstTensor& scales = matrix_.scales;
    if (!is_float(scales.dtype())) {
      return wrong(Code::kUnsupported, suffix, "has the type {}, and must be F32, F16 or BF16",
                   core::name(scales.dtype()));
    }
    const int64_t last = scales.size(scales.rank() - 1);
    const bool one = last == 1 && (scales.rank() == 1 || has_shape(scales, 1, 1));
    const int64_t num_groups = compressed() ? last : scales.size(0);
    const bool fits = compressed() ? one || has_shape(scales, matrix_.rows, num_groups)
                                   : has_shape(scales, num_groups, matrix_.rows);
    if (!fits) {
      return wrong(Code::kCorrupt, suffix, "has another shape than the scales of {} rows",
                   matrix_.rows);
    }
    const int64_t group = matrix_.columns / num_groups;
    const int64_t said = config_.group;
    if (group % kBlock != 0 || group * num_groups != matrix_.columns ||
        (said > 0 && group != said && matrix_.columns % said != 0)) {
      return wrong(Code::kUnsupported, suffix,
                   "has {} groups for {} columns, and groups must be equal and a multiple of {}",
                   num_groups, matrix_.columns, kBlock);
    }
    matrix_.group = group;
    return {};
  }

  Result<void> find_zeros() {
    const std::string_view suffix = compressed() ? ".weight_zero_point" : ".qzeros";
    if (compressed() && lookup(suffix) == nullptr) return {};
    TRY(matrix_.zeros, whole_numbers(suffix));
    const int64_t per_word = 32 / matrix_.bits;
    const int64_t words = (matrix_.rows + per_word - 1) / per_word;
    if (compressed() ? !has_shape(matrix_.zeros, words, groups())
                     : !has_shape(matrix_.zeros, groups(), words)) {
      return wrong(Code::kCorrupt, suffix,
                   "has another shape than the zero points of {} rows and {} groups", matrix_.rows,
                   groups());
    }
    if (config_.less_one) matrix_.zero_carry = matrix_.bits == 4 ? 0x11111111u : 0x01010101u;
    return {};
  }

  // Rows are runs of groups: activations would have to be put in order for others.
  Result<void> check_order() const {
    const std::string_view suffix = compressed() ? ".weight_g_idx" : ".g_idx";
    if (lookup(suffix) == nullptr) return {};
    TRY(const ConstTensor order, whole_numbers(suffix));
    if (order.rank() != 1 || order.size(0) != matrix_.columns) {
      return wrong(Code::kCorrupt, suffix, "must name the group of each of {} columns",
                   matrix_.columns);
    }
    for (int64_t i = 0; i < matrix_.columns; ++i) {
      if (order.as<int32_t>()[i] == i / matrix_.group) continue;
      return wrong(Code::kUnsupported, suffix,
                   "orders columns by their activations (desc_act), which Hachi does not run; take "
                   "a file that was made without it");
    }
    return {};
  }

  // Some writers add biases of zeros to models that have none.
  Result<void> check_bias() const {
    const TensorEntry* entry = lookup(".bias");
    if (entry == nullptr) return {};
    TRY(const ConstTensor bias, tensor(".bias"));
    for (int64_t i = 0; i < entry->num_elements(); ++i) {
      if (is_float(bias.dtype()) && float_at(bias, i) == 0) continue;
      return wrong(Code::kUnsupported, ".bias", "is there, and Hachi runs matrices without one");
    }
    return {};
  }

  Result<void> choose_type() {
    bool middle = true;
    for (int64_t group = 0; group < groups(); ++group) {
      for (int64_t row = 0; row < matrix_.rows; ++row) {
        const float scale = matrix_.scale(row, group);
        const int zero = matrix_.zero(row, group);
        middle = middle && zero == matrix_.middle();
        if (!fits_f16(scale) || !fits_f16(static_cast<float>(zero) * scale)) {
          return wrong(Code::kUnsupported, compressed() ? ".weight_scale" : ".scales",
                       "has {} for row {}, which no float of 16 bits is near", scale, row);
        }
      }
    }
    if (matrix_.bits == 8 && !middle) {
      return wrong(Code::kUnsupported, compressed() ? ".weight_zero_point" : ".qzeros",
                   "has zero points besides {}, which Hachi runs with 4 bits only",
                   matrix_.middle());
    }
    matrix_.type = matrix_.bits == 8 ? DType::kQ8_0 : middle ? DType::kQ4_0 : DType::kQ4_1;
    return {};
  }

  const Checkpoint& checkpoint_;
  const std::string& name_;
  const PackedConfig& config_;
  PackedMatrix matrix_;
};

}  // namespace

std::string_view name(Packing packing) {
  switch (packing) {
    case Packing::kGptq:
      return "GPTQ";
    case Packing::kAwq:
      return "AWQ";
    case Packing::kCompressedTensors:
      break;
  }
  return "compressed-tensors";
}

float PackedMatrix::scale(int64_t row, int64_t group_index) const {
  if (packing != Packing::kCompressedTensors) {
    return float_at(scales, group_index * rows + row);
  }
  const bool one = scales.rank() == 1 || scales.size(0) == 1;
  return float_at(scales, one ? group_index : row * scales.size(1) + group_index);
}

int PackedMatrix::zero(int64_t row, int64_t group_index) const {
  if (!zeros) return middle();
  const int64_t per_word = 32 / bits;
  const int64_t column = row / per_word;
  const int64_t word = packing == Packing::kCompressedTensors
                           ? column * zeros.size(1) + group_index
                           : group_index * zeros.size(1) + column;
  const auto at = static_cast<size_t>(row % per_word);
  const int place = packing == Packing::kAwq ? kAwqPlace[at] : static_cast<int>(at);
  const uint32_t packed = zeros.as<uint32_t>()[word] + zero_carry;
  return static_cast<int>(packed >> (bits * place) & ((1u << bits) - 1));
}

bool is_packed(const Checkpoint& checkpoint, std::string_view name) {
  const std::string stem(name);
  return checkpoint.find(stem + ".qweight") != nullptr ||
         checkpoint.find(stem + ".weight_packed") != nullptr;
}

Result<std::optional<PackedMatrix>> find_packed(const Checkpoint& checkpoint,
                                                const std::string& name, int64_t rows,
                                                int64_t columns) {
  if (!is_packed(checkpoint, name)) return std::nullopt;
  TRY(const PackedConfig config, read_packed_config(checkpoint));
  TRY(const PackedMatrix matrix, Finder(checkpoint, name, config).find(rows, columns));
  return matrix;
}

}  // namespace hachi::model
