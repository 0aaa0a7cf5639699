// Which instruction set each op runs with, for people to read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernels/cpu/features.h"

namespace hachi::ops {

struct ChosenLoops {
  std::string_view op;
  std::string_view set;  // "AVX2"
  std::string why;
};

// What a Context with these features runs, in the order of a forward pass.
std::vector<ChosenLoops> chosen_loops(const CpuFeatures& features);

}  // namespace hachi::ops
