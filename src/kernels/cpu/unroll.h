// Loops that are unrolled whatever the compiler thinks of it, so that arrays that they index stay
// in registers. Only files of an instruction set include this.
#pragma once

#include <utility>

namespace hachi::ops::cpu {
namespace {

template <class Body, int... kI>
[[gnu::always_inline]] inline void unroll(std::integer_sequence<int, kI...>, const Body& body) {
  (body(std::integral_constant<int, kI>{}), ...);
}

// Calls body(std::integral_constant<int, i>) for i < kCount.
template <int kCount, class Body>
[[gnu::always_inline]] inline void unroll(const Body& body) {
  unroll(std::make_integer_sequence<int, kCount>{}, body);
}

}  // namespace
}  // namespace hachi::ops::cpu
