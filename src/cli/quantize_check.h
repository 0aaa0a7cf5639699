// `hachi quantize --check`: what a quantized model has lost against its source.
#pragma once

#include <string>

#include "cli/loaded_model.h"
#include "core/result.h"

namespace hachi::cli {

struct CheckOptions {
  ModelOptions source;  // its threads, context and quiet are those of both
  std::string quantized;
  std::string file;  // empty: a text that the source writes itself
  bool json = false;
};

Result<int> check_quantized(const CheckOptions& options);

}  // namespace hachi::cli
