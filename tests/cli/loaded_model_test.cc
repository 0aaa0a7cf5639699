#include "cli/loaded_model.h"

#include <string>

#include <gtest/gtest.h>

#include "model/golden_models.h"

namespace hachi::cli {
namespace {

std::string bytes_of(const formats::Checkpoint& checkpoint) {
  std::string all;
  for (const formats::TensorEntry& tensor : checkpoint.tensors()) {
    all.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.bytes());
  }
  return all;
}

// Whoever reads them after all, as an importance matrix does, finds them.
TEST(ReleaseWeights, OfFilesComeBack) {
  for (const char* name : {"qwen3-f32", "qwen3-yarn-bf16"}) {
    const auto checkpoint = formats::Checkpoint::open(testing::golden_folder(name));
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    const std::string before = bytes_of(*checkpoint);
    ASSERT_FALSE(before.empty());
    release_weights(*checkpoint);
    EXPECT_EQ(bytes_of(*checkpoint), before) << name;
  }
}

}  // namespace
}  // namespace hachi::cli
