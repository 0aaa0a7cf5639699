// Which strips a product of tens of rows is cut into, and their launch.
#pragma once

#include <algorithm>

#include "kernels/cuda/strip_kernel.cuh"
#include "kernels/cuda/tensor_map.cuh"

namespace hachi::ops::cuda::strip {

inline int ceil_div(int a, int b) { return (a + b - 1) / b; }

inline bool joins_scales(const StreamParams::Product& a, const StreamParams::Product& b) {
  if (a.scales == nullptr || b.scales == nullptr) return a.scales == b.scales;
  return a.span == b.span && b.scales == a.scales + (a.span == ScaleSpan::kRow ? a.outputs : 0);
}

// Products whose weights, scales and results lie side by side become one.
inline void join_products(StreamParams& p) {
  if (is_gated(p.finish)) return;
  int last = 0;
  for (int i = 1; i < StreamMatmul::kMaxProducts && p.products[i].data != nullptr; ++i) {
    StreamParams::Product& before = p.products[last];
    const StreamParams::Product more = p.products[i];
    const int64_t weight_bytes = int64_t{before.outputs} * p.inputs * p.element_bytes;
    const int64_t y_bytes = int64_t{before.outputs} * (p.y_is_bf16 ? 2 : 4);
    const bool joins = before.data + weight_bytes == more.data && joins_scales(before, more) &&
                       static_cast<uint8_t*>(before.y) + y_bytes == more.y;
    p.products[i] = {};
    if (joins) {
      before.outputs += more.outputs;
    } else {
      p.products[++last] = more;
    }
  }
}

inline int groups_of(const StreamParams& p, int group_outputs) {
  int groups = 0;
  for (int i = 0; i < StreamMatmul::kMaxProducts && p.products[i].data != nullptr; ++i) {
    if (i == 0 || !is_gated(p.finish)) groups += ceil_div(p.products[i].outputs, group_outputs);
  }
  return groups;
}

template <class S>
int max_clusters() {
  return once_a_device([] {
    allow_shared_bytes(strip_matmul_kernel<S>, S::kSharedBytes);
    cudaLaunchAttribute cluster = {};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {kCluster, 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(kCluster);
    config.blockDim = dim3(kThreads);
    config.dynamicSmemBytes = S::kSharedBytes;
    config.attrs = &cluster;
    config.numAttrs = 1;
    int clusters = 0;
    CHECK_CUDA(cudaOccupancyMaxActiveClusters(&clusters, strip_matmul_kernel<S>, &config));
    return std::max(clusters, 1);
  });
}

template <class S>
void launch_strips(Stream stream, StreamParams all) {
  Params p = {};
  all.group_outputs = is_gated(all.finish) ? S::kOutputs / 2 : S::kOutputs;
  all.num_groups = groups_of(all, all.group_outputs);
  for (StreamParams::Product& product : all.products) {
    product.groups = ceil_div(product.outputs, all.group_outputs);
  }
  map_matrices(all, all.group_outputs, kPanelRowBytes, is_gated(all.finish) ? 1 : kPanels);
  p.x_rows = ceil_div(all.rows, 8) * 8;
  p.x_map = map_of({.data = all.x,
                    .rows = all.rows,
                    .row_bytes = int64_t{all.inputs} * all.element_bytes,
                    .box_rows = p.x_rows,
                    .panels = 1});
  const int clusters = std::min(ceil_div(all.num_groups, kCluster), max_clusters<S>());
  p.strips = ceil_div(all.num_groups, clusters * kCluster);
  p.all = all;
  launch_clusters(kCluster, stream, strip_matmul_kernel<S>,
                  dim3(static_cast<unsigned>(clusters * kCluster)), dim3(kThreads), S::kSharedBytes,
                  p);
}

// The outputs of a strip with which the CTAs have the least to do.
template <bool kIsF8>
int best_outputs(const StreamParams& p) {
  constexpr int kStripCost = 8;  // of x and the strip's end, in outputs
  int best = 0;
  int least = 0;
  for (const int outputs : {96, 64, 48, 32}) {
    if (p.next.squares != nullptr && outputs % 32 != 0) continue;
    const int groups = groups_of(p, is_gated(p.finish) ? outputs / 2 : outputs);
    const int ctas = max_clusters<Shape<32, kIsF8>>() * kCluster;
    const int cost = ceil_div(groups, ctas) * (outputs + kStripCost);
    if (best != 0 && cost >= least) continue;
    best = outputs;
    least = cost;
  }
  return best;
}

template <bool kIsF8>
void run_strips(Stream stream, StreamParams p) {
  CHECK(p.rows <= kRows);
  join_products(p);
  switch (best_outputs<kIsF8>(p)) {
    case 32:
      return launch_strips<Shape<32, kIsF8>>(stream, p);
    case 48:
      return launch_strips<Shape<48, kIsF8>>(stream, p);
    case 64:
      return launch_strips<Shape<64, kIsF8>>(stream, p);
    default:
      return launch_strips<Shape<96, kIsF8>>(stream, p);
  }
}

}  // namespace hachi::ops::cuda::strip
