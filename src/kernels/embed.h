#pragma once

#include <span>

#include "kernels/context.h"

namespace hachi::ops {

// y[t,c] = scale * table[ids[t],c]
//
//   y      [T,C] f32, written
//   ids    [T], each from 0 to the number of rows of the table
//   table  [V,C]
//   scale  1 for most; sqrt(C) for Gemma
void embed(Context& ctx, Tensor y, std::span<const int32_t> ids, const Weight& table, float scale);

}  // namespace hachi::ops
