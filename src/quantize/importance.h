// The importance of a matrix's inputs: the mean over tokens of the square of each, which is how
// much an error in the weights of that column costs. In files, llama.cpp's GGUF form:
//
//   general.type = "imatrix", imatrix.datasets [string], imatrix.chunk_count, imatrix.chunk_size
//   u32 for each matrix NAME: NAME.in_sum2 F32 [n,I], the sums of squares, and NAME.counts F32
//   [n,1], the tokens that were summed; n is 1, but for matrices of experts
//
// Source: tools/imatrix of the llama.cpp repository.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hachi::quantize {

struct InputSquares {
  std::vector<float> sums;  // [I] of x_i^2
  int64_t tokens = 0;

  std::vector<float> means() const;
};

struct Importance {
  std::map<std::string, InputSquares, std::less<>> matrices;  // by GGUF's name of the matrix
  std::vector<std::string> datasets;
  int64_t num_chunks = 0;
  int64_t chunk_size = 0;
};

Result<void> write_importance(const std::filesystem::path& path, const Importance& importance);

// Fails with one sentence if the file is not such a GGUF file, or holds a number that is negative,
// infinite or none.
Result<Importance> read_importance(const std::filesystem::path& path);

}  // namespace hachi::quantize
