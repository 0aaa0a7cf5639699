// How much memory this process can still have.
#pragma once

#include <cstdint>

namespace hachi::inline core {

// Bytes that the system could give without swapping, or that the cgroup's limit leaves, whichever
// is less. 0 if the system does not say.
uint64_t available_memory();

}  // namespace hachi::inline core
