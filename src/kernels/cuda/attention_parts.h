// The kernels that attend_one() and attend_many() are made of.
#pragma once

#include <type_traits>

#include "kernels/cuda/attention.h"

namespace hachi::ops::cuda::attend {

// Tokens that one launch for single tokens takes.
inline constexpr int64_t kRowsALaunch = 256;
// Up to so many, a token's parts depend on its own position alone: its result has the same bits
// beside any others.
inline constexpr int64_t kFewRows = 16;
// Parts into which the positions of a head are split at most, by different workers; fewer of more
// than 64 tokens: so much workspace there is.
inline constexpr int64_t kMaxParts = 32;
inline constexpr int64_t kPartSlots = 64 * kMaxParts;  // tokens times parts, of each head

// Calls f(std::integral_constant<int, D>()) for a width of heads that has fast kernels; false if D
// is none of them.
template <class F>
bool with_width(int64_t head_dim, const F& f) {
  switch (head_dim) {
    case 64:
      return f(std::integral_constant<int, 64>()), true;
    case 96:
      return f(std::integral_constant<int, 96>()), true;
    case 128:
      return f(std::integral_constant<int, 128>()), true;
    case 256:
      return f(std::integral_constant<int, 256>()), true;
    default:
      return false;
  }
}
inline bool is_fast_width(int64_t head_dim) {
  return with_width(head_dim, [](auto) {});
}

// True if the kernels that use the matrix units take these shapes and types.
bool one_is_fast(const Attention& args);
bool many_is_fast(const Attention& args);

// A kernel of many tokens that may still run: it has so many multiprocessors for so long.
struct Beside {
  int64_t multiprocessors = 0;
  double us = 0;
};

// All of attend_one(), beside the kernel that was launched before it. That one writes nothing that
// this one reads.
void fast_one(Stream stream, const Attention& args, Beside beside);

// Norm and rotation of k and the new positions into the cache: store() of the shapes that the fast
// kernels take, prepare() of any, and of q in place.
void store(Stream stream, const Attention& args);
void prepare(Stream stream, const Attention& args);

// Attention with the cache filled; plain() has q rotated too, and takes `count` tokens from `first`
// on, with whose results its y begins. fast_many() says what of it may still run.
Beside fast_many(Stream stream, const Attention& args, int64_t max_context);
void plain(Stream stream, const Attention& args, void* y, int64_t first, int64_t count);

// y of plain() as the next product takes it.
void stage_operand(Stream stream, const Attention& args, const void* y, int64_t first,
                   int64_t count);

}  // namespace hachi::ops::cuda::attend
