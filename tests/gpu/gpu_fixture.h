// What the tests of whole models on a GPU share.
#pragma once

#include <memory>

#include <gtest/gtest.h>

#include "kernels/gpu.h"
#include "model/model.h"

namespace hachi::testing {

class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override { open({}); }

  void open(const ops::GpuOptions& options) {
    auto gpu = ops::Gpu::open(options);
    ASSERT_TRUE(gpu) << gpu.error().message;
    gpu_ = *std::move(gpu);
  }

  void place(model::Model& model) {
    ThreadPool pool(2);
    ops::Context ctx;
    ctx.device = ops::Device::kCuda;
    ctx.gpu = gpu_.get();
    ctx.pool = &pool;
    const auto placed = model.repack(ctx);
    ASSERT_TRUE(placed) << placed.error().message;
  }

  std::unique_ptr<ops::Gpu> gpu_;
};

}  // namespace hachi::testing
