#include "kernels/cuda/strip_kernel.cuh"
#include "kernels/cuda/tensor_map.cuh"

namespace hachi::ops::cuda {
namespace {

using strip::kCluster;

// What a strip costs beside its outputs, in outputs: x and the strip's end.
constexpr int kStripCost = 8;

// Products whose weights and whose results lie side by side become one.
void join_products(StreamParams& p) {
  if (is_gated(p.finish)) return;
  int last = 0;
  for (int i = 1; i < StreamMatmul::kMaxProducts && p.products[i].data != nullptr; ++i) {
    StreamParams::Product& before = p.products[last];
    const StreamParams::Product more = p.products[i];
    const int64_t weight_bytes = int64_t{before.outputs} * p.inputs * p.element_bytes;
    const int64_t y_bytes = int64_t{before.outputs} * (p.y_is_bf16 ? 2 : 4);
    const bool joins = before.data + weight_bytes == more.data &&
                       static_cast<uint8_t*>(before.y) + y_bytes == more.y;
    p.products[i] = {};
    if (joins) {
      before.outputs += more.outputs;
    } else {
      p.products[++last] = more;
    }
  }
}

int ceil_div(int a, int b) { return (a + b - 1) / b; }

int groups_of(const StreamParams& p, int group_outputs) {
  int groups = 0;
  for (int i = 0; i < StreamMatmul::kMaxProducts && p.products[i].data != nullptr; ++i) {
    if (i == 0 || !is_gated(p.finish)) groups += ceil_div(p.products[i].outputs, group_outputs);
  }
  return groups;
}

template <int kOutputs>
int max_clusters() {
  return once_a_device([] {
    allow_shared_bytes(strip::strip_matmul_kernel<kOutputs>, strip::Shape<kOutputs>::kSharedBytes);
    cudaLaunchAttribute cluster = {};
    cluster.id = cudaLaunchAttributeClusterDimension;
    cluster.val.clusterDim = {kCluster, 1, 1};
    cudaLaunchConfig_t config = {};
    config.gridDim = dim3(kCluster);
    config.blockDim = dim3(strip::kThreads);
    config.dynamicSmemBytes = strip::Shape<kOutputs>::kSharedBytes;
    config.attrs = &cluster;
    config.numAttrs = 1;
    int clusters = 0;
    CHECK_CUDA(
        cudaOccupancyMaxActiveClusters(&clusters, strip::strip_matmul_kernel<kOutputs>, &config));
    return std::max(clusters, 1);
  });
}

template <int kOutputs>
void launch_strips(Stream stream, StreamParams all, const void* x) {
  strip::Params p = {};
  all.group_outputs = is_gated(all.finish) ? kOutputs / 2 : kOutputs;
  all.num_groups = groups_of(all, all.group_outputs);
  for (StreamParams::Product& product : all.products) {
    product.groups = ceil_div(product.outputs, all.group_outputs);
  }
  map_matrices(all, all.group_outputs, strip::kPanelRowBytes,
               is_gated(all.finish) ? 1 : strip::kPanels);
  p.x_rows = ceil_div(all.rows, 8) * 8;
  p.x_map = map_of({.data = x,
                    .rows = all.rows,
                    .row_bytes = int64_t{all.inputs} * 2,
                    .box_rows = p.x_rows,
                    .panels = 1});
  const int clusters = std::min(ceil_div(all.num_groups, kCluster), max_clusters<kOutputs>());
  p.strips = ceil_div(all.num_groups, clusters * kCluster);
  p.all = all;
  launch_clusters(kCluster, stream, strip::strip_matmul_kernel<kOutputs>,
                  dim3(static_cast<unsigned>(clusters * kCluster)), dim3(strip::kThreads),
                  strip::Shape<kOutputs>::kSharedBytes, p);
}

// The outputs of a strip with which the CTAs have the least to do.
int best_outputs(const StreamParams& p) {
  int best = 0;
  int least = 0;
  for (const int outputs : {96, 64, 48, 32}) {
    if (p.next.squares != nullptr && outputs % 32 != 0) continue;
    const int groups = groups_of(p, is_gated(p.finish) ? outputs / 2 : outputs);
    const int ctas = max_clusters<32>() * kCluster;
    const int cost = ceil_div(groups, ctas) * (outputs + kStripCost);
    if (best != 0 && cost >= least) continue;
    best = outputs;
    least = cost;
  }
  return best;
}

}  // namespace

void strip_bf16(Stream stream, StreamParams params) {
  CHECK(params.rows <= strip::kRows);
  join_products(params);
  const void* x = params.x;
  switch (best_outputs(params)) {
    case 32:
      return launch_strips<32>(stream, params, x);
    case 48:
      return launch_strips<48>(stream, params, x);
    case 64:
      return launch_strips<64>(stream, params, x);
    default:
      return launch_strips<96>(stream, params, x);
  }
}

}  // namespace hachi::ops::cuda
