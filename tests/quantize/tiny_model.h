// The tiny models of tests/golden/models as sources and as files that were written from them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "formats/temp_folder.h"
#include "quantize/plan.h"
#include "quantize/source.h"
#include "quantize/write_model.h"

namespace hachi::quantize {

inline std::shared_ptr<const formats::Checkpoint> open_shared(const std::filesystem::path& path) {
  auto checkpoint = formats::Checkpoint::open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().message;
  return std::make_shared<const formats::Checkpoint>(*std::move(checkpoint));
}

inline std::shared_ptr<const formats::Checkpoint> open_tiny(const std::string& name) {
  return open_shared(std::filesystem::path(HACHI_TEST_DIR) / "golden/models" / name);
}

// Chunks of pseudo-random tokens below `vocab`, the same every time.
inline std::vector<std::vector<int32_t>> random_chunks(int64_t count, int64_t tokens,
                                                       int32_t vocab) {
  std::vector<std::vector<int32_t>> chunks(static_cast<size_t>(count));
  uint32_t state = 12345;
  for (auto& chunk : chunks) {
    for (int64_t i = 0; i < tokens; ++i) {
      state = state * 1664525 + 1013904223;
      chunk.push_back(static_cast<int32_t>(state >> 8) % vocab);
    }
  }
  return chunks;
}

}  // namespace hachi::quantize
