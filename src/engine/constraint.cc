#include "engine/constraint.h"

#include <algorithm>

namespace hachi::engine {

NextToken next_token(Constraint* constraint, int64_t vocab_size) {
  NextToken next;
  if (constraint == nullptr) return next;
  next.forced = constraint->forced();
  if (next.forced) {
    next.ends = *next.forced < 0 || *next.forced >= vocab_size;
    return next;
  }
  next.mask = constraint->mask();
  next.ends = !next.mask.empty() && std::all_of(next.mask.begin(), next.mask.end(),
                                                [](uint32_t word) { return word == 0; });
  return next;
}

}  // namespace hachi::engine
