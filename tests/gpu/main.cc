// The tests of the GPU backend; where there is no GPU, one that says so in their place.
#include <gtest/gtest.h>

#include "kernels/gpu.h"

TEST(Gpu, IsHere) {
  if (hachi::ops::list_gpus().empty()) {
    GTEST_SKIP() << "skipped: there is no GPU here, so nothing of the GPU backend was tested";
  }
}

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (hachi::ops::list_gpus().empty()) GTEST_FLAG_SET(filter, "Gpu.IsHere");
  return RUN_ALL_TESTS();
}
