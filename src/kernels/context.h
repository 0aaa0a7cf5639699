// Context: what every op runs with, and the plain structs that describe a batch to the ops.
//
// Letters in shapes, the same in all op headers: T tokens in the batch, C model width, H query
// heads, G key/value heads, D head width, F feed-forward width, I and O the inputs and outputs of a
// matrix, P positions a page of the cache.
//
// Rules that hold for every op, and that no header repeats:
//   - A wrong shape or type is a bug of the caller: CHECK ends the process.
//   - T may be 0; then nothing is read or written, and pointers may be null.
//   - Rows of activations may be columns of a wider matrix; elements of a row are dense and f32,
//     on a 4-byte boundary. Weights may start at any byte.
//   - On Device::kCpu no op allocates, but for Context::workspace when it has to grow. A result has
//     the same bits for any number of threads and whatever else is in the batch: each sum has one
//     order, set by its own length alone.
//   - On Device::kCuda all memory is the GPU's (memory.h), weights have been placed (place.h), and
//     an op returns before it has run. The residual stream is f32; what activation_type() of
//     place.h says holds for the other activations. A step begins with begin_step() of step.h.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor.h"
#include "core/thread_pool.h"
#include "kernels/cpu/features.h"
#include "kernels/cuda/types.h"
#include "kernels/workspace.h"

namespace hachi::ops {

class Collective;
class Gpu;
class StageTimes;

enum class Device {
  kRef,  // plain loops in double precision, one thread: the specification that others are held to
  kCpu,
  kCuda,
};

// Not thread-safe: one op at a time.
struct Context {
  Device device = Device::kCpu;
  ThreadPool* pool = nullptr;             // not owned; kRef needs none
  CpuFeatures features = cpu_features();  // tests turn some off
  Workspace workspace;                    // of kCpu
  Gpu* gpu = nullptr;                     // of kCuda; not owned
  Collective* collective = nullptr;       // of a model that several ranks share; not owned
  StageTimes* stages = nullptr;           // of who measures (stages.h); not owned
};

// A matrix [O,I] in the types of checkpoints; y = x W^T. FP8 keeps its scales apart: the value of
// row r, column c is f8 * scales[r / block_rows, c / block_cols], rounded to f32.
struct Weight {
  ConstTensor values;  // any type but I32; no data if only the panels are held
  ConstTensor scales;  // F8_E4M3: f32, f16 or bf16; [1] for the whole matrix, or one a block of
                       // [block_rows, block_cols]; no data at all means 1. Other types: none.
  int block_rows = 0;
  int block_cols = 0;
  const std::byte* panels = nullptr;  // the values in the order of panels.h, or none
  cuda::Matrix placed;                // the values in a GPU's memory, or no data
};

// Consecutive rows of the batch that are consecutive positions of one sequence.
struct SequenceSpan {
  int64_t first_token = 0;  // row of the batch
  int64_t num_tokens = 0;
  std::span<const int32_t> pages;  // pages[i] holds its positions [i * P, (i + 1) * P)
};

// The tokens of a step, packed: prefill chunks and decode steps of many sequences side by side.
struct BatchView {
  std::span<const int32_t> ids;        // [T]
  std::span<const int32_t> positions;  // [T], of each token in its own sequence, from 0
  std::span<const SequenceSpan> sequences;
};

// One layer's cache, both of one type: f32, f16, bf16 or q8_0; on a GPU f32, f16, bf16 or f8_e4m3.
// kv_page.h has the layout of a page.
struct KvLayer {
  Tensor keys;    // [num_pages,G,D,P]; on a GPU [num_pages,G,P,D]
  Tensor values;  // [num_pages,G,P,D]
};

}  // namespace hachi::ops
