// What `hachi quantize` says: its progress, and which tensors became what.
#pragma once

#include <string>

#include "core/clock.h"
#include "quantize/plan.h"

namespace hachi::cli {

// Tensors of the same kind in one line, with what all take together.
std::string plan_table(const quantize::Plan& plan);

struct QuantizeResult {
  std::string path;  // empty: nothing was written
  uint64_t file_bytes = 0;
  double seconds = 0;
};

// Every tensor, as one JSON object.
std::string plan_json(const quantize::Plan& plan, const QuantizeResult& result);

// The tensor at work, drawn over itself on standard error; silent unless that is a terminal.
class TensorProgress {
 public:
  explicit TensorProgress(bool quiet);
  ~TensorProgress();
  TensorProgress(const TensorProgress&) = delete;
  TensorProgress& operator=(const TensorProgress&) = delete;

  void update(const quantize::Plan& plan, size_t next, uint64_t bytes_done);

 private:
  bool enabled_;
};

}  // namespace hachi::cli
