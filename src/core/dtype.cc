#include "core/dtype.h"

#include <array>
#include <cctype>

#include "core/check.h"

namespace hachi::inline core {
namespace {

constexpr std::array<DTypeTraits, kNumDTypes> kTraits = {{
    {"F32", 1, 4},
    {"F16", 1, 2},
    {"BF16", 1, 2},
    {"F8_E4M3", 1, 1},
    {"I32", 1, 4},
    {"Q4_0", 32, 18},
    {"Q4_1", 32, 20},
    {"Q5_0", 32, 22},
    {"Q5_1", 32, 24},
    {"Q8_0", 32, 34},
    {"Q2_K", 256, 84},
    {"Q3_K", 256, 110},
    {"Q4_K", 256, 144},
    {"Q5_K", 256, 176},
    {"Q6_K", 256, 210},
    {"IQ4_NL", 32, 18},
    {"IQ4_XS", 256, 136},
    {"IQ3_S", 256, 110},
    {"IQ3_XXS", 256, 98},
    {"IQ2_S", 256, 82},
    {"IQ2_XS", 256, 74},
    {"IQ2_XXS", 256, 66},
}};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::toupper(static_cast<unsigned char>(a[i])) !=
        std::toupper(static_cast<unsigned char>(b[i]))) {
      return false;
    }
  }
  return true;
}

}  // namespace

const DTypeTraits& traits(DType dtype) { return kTraits[static_cast<size_t>(dtype)]; }

int64_t row_bytes(DType dtype, int64_t elements) {
  const DTypeTraits& t = traits(dtype);
  CHECK_EQ(elements % t.block_size, 0);
  return elements / t.block_size * t.block_bytes;
}

std::optional<DType> dtype_from_name(std::string_view wanted) {
  for (int i = 0; i < kNumDTypes; ++i) {
    if (equal_ignoring_case(kTraits[static_cast<size_t>(i)].name, wanted)) {
      return static_cast<DType>(i);
    }
  }
  return std::nullopt;
}

}  // namespace hachi::inline core
