// The second moments of a matrix's inputs, and what they say of how to make up for errors.
//
// A matrix W is used as y = x W^T. Rounding it to V costs sum over rows of e H e^T with e = w - v
// and H = sum over tokens of x^T x. Write H = R R^T with R upper triangular. Then the cost is
//
//   sum over i of R_ii^2 (t_i - v_i)^2    with    t_i = w_i + sum over j < i of e_j R_ji / R_ii
//
// so that columns can be rounded from first to last, each to what is nearest to t_i: the error that
// is made is handed on to the columns after it. This is GPTQ (arXiv 2210.17323) in the form of
// QuIP's LDLQ (arXiv 2307.13304, section 3), which needs no inverse.
#pragma once

#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "core/thread_pool.h"
#include "kernels/context.h"

namespace hachi::quantize {

// One matrix of floats [I,I] is all that it keeps. Move-only; the pool outlives it.
class Hessian {
 public:
  static Result<Hessian> create(int64_t inputs, ThreadPool& pool);

  int64_t inputs() const { return inputs_; }

  // H += x^T x, x f32 [T,I].
  Result<void> add(ConstTensor x);

  // Splits H, with `damping` times its diagonal added to it, into R; with more where floats need
  // more. Damping weakens what inputs are believed to have in common: none takes the text at its
  // word, and much leaves plain rounding by importance. Fails with kCorrupt if H holds an infinite
  // number or none. Ends the adding.
  Result<void> factor(double damping);

  // After factor(): [I,I] with R_ji / R_ii at [i,j], j < i, and R_ii on the diagonal.
  ConstTensor feedback() const { return matrix_; }
  // [I], the mean over tokens of x_i^2, before factor() damps it.
  const std::vector<float>& mean_squares() const { return mean_squares_; }

 private:
  Hessian(int64_t inputs, ThreadPool& pool) : inputs_(inputs) { ctx_.pool = &pool; }

  float* row(int64_t i) const { return matrix_.row<float>(i); }
  void fill_lower();
  bool try_factor(const std::vector<float>& diagonal);
  void write_feedback();

  int64_t inputs_;
  int64_t tokens_ = 0;
  ops::Context ctx_;
  Buffer memory_;
  Tensor matrix_;
  Buffer transposed_;  // of the x at hand
  std::vector<float> mean_squares_;
};

}  // namespace hachi::quantize
