// Blocks against ggml: the same bits where the format has a reference rounding, and no more error
// than its own search leaves elsewhere. make_blocks_goldens.py wrote the goldens.
#include <fstream>
#include <map>
#include <string>
#include <utility>

#include "kernels/half.h"
#include "quantize/testing.h"

namespace hachi::quantize {
namespace {

std::vector<std::byte> from_hex(const std::string& hex) {
  std::vector<std::byte> bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

struct Goldens {
  std::map<std::string, Floats> rows;                                            // and importances
  std::map<std::pair<std::string, std::string>, std::vector<std::byte>> blocks;  // by type, row
  std::map<std::pair<std::string, std::string>, std::map<std::string, double>>
      errors;  // by type and importance, then by row
};

const Goldens& goldens() {
  static const Goldens all = [] {
    Goldens read;
    std::ifstream file(HACHI_TEST_DIR "/quantize/blocks_goldens.txt");
    std::string kind, type, name, hex, weights;
    while (file >> kind) {
      if (kind == "row" || kind == "importance") {
        file >> name >> hex;
        const std::vector<std::byte> bytes = from_hex(hex);
        const size_t n = bytes.size() / 2;
        read.rows[name] = decoded(DType::kF16, bytes, n);
      } else if (kind == "blocks") {
        file >> type >> name >> hex;
        read.blocks[{type, name}] = from_hex(hex);
      } else {
        double error = 0;
        file >> type >> name >> weights >> error;
        read.errors[{type, weights}][name] = error;
      }
    }
    return read;
  }();
  return all;
}

TEST(BlocksGoldens, ReferenceRoundingHasTheSameBits) {
  ASSERT_EQ(goldens().blocks.size(), 15u);  // five types, three rows
  for (const auto& [key, want] : goldens().blocks) {
    SCOPED_TRACE(key.first + " of " + key.second);
    const DType type = dtype_from_name(key.first).value();
    const Floats& row = goldens().rows.at(key.second);
    const Floats head(row.begin(), row.begin() + 512);
    EXPECT_EQ(quantized(type, head), want);
  }
}

TEST(BlocksGoldens, Q8_0IgnoresImportance) {
  const Floats& row = goldens().rows.at("normal");
  const Floats& importance = goldens().rows.at("gamma");
  EXPECT_EQ(quantized(DType::kQ8_0, row, importance.data()), quantized(DType::kQ8_0, row));
}

// At most ggml's error on average over the rows, and nowhere noticeably more.
TEST(BlocksGoldens, SearchLeavesNoMoreErrorThanGgml) {
  ASSERT_EQ(goldens().errors.size(), 26u);
  for (const auto& [key, by_row] : goldens().errors) {
    SCOPED_TRACE(key.first + " with importance " + key.second);
    const DType type = dtype_from_name(key.first).value();
    const float* importance = key.second == "none" ? nullptr : goldens().rows.at("gamma").data();
    double sum_of_ratios = 0;
    for (const auto& [name, most] : by_row) {
      const Floats& row = goldens().rows.at(name);
      const double error =
          weighted_error(type, row, there_and_back(type, row, importance), importance);
      EXPECT_LT(error, 1.02 * most) << name;
      sum_of_ratios += error / most;
    }
    const double mean = sum_of_ratios / static_cast<double>(by_row.size());
    EXPECT_LE(mean, 1.0);
    RecordProperty(key.first + "_" + key.second, std::to_string(mean));
  }
}

}  // namespace
}  // namespace hachi::quantize
