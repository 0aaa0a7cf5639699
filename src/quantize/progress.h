// How long work tells how far it is, and is told to stop.
#pragma once

#include <cstdint>
#include <functional>

#include "core/result.h"

namespace hachi::quantize {

// Both may be empty.
using Progress = std::function<void(int64_t done, int64_t total)>;
using ShouldStop = std::function<bool()>;

// Fails with kCancelled once should_stop() is true.
inline Result<void> check_stop(const ShouldStop& should_stop) {
  if (should_stop && should_stop()) return fail(Code::kCancelled, "cancelled");
  return {};
}

}  // namespace hachi::quantize
