#include "core/check.h"

#include <cstdlib>

namespace hachi::inline core {

void check_failed(const char* file, int line, std::string_view what) {
  fmt::print(stderr, "hachi: a mistake of ours: {} does not hold, at {}:{}\n", what, file, line);
  std::abort();
}

}  // namespace hachi::inline core
