#include "kernels/cuda/device.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/cuda/draw.h"
#include "kernels/kv_page.h"

namespace hachi::ops {
namespace {

constexpr int kComputeMajor = 9;  // the chips that the kernels are built for
constexpr double kMegabyte = 1e6;

// What the GPU keeps for itself and for the library of large products.
constexpr uint64_t kReserve = 512 << 20;

constexpr uint64_t kLeastNumbers = 64 << 10;  // bytes for the numbers of a step

uint64_t aligned(uint64_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

std::vector<GpuInfo> list_gpus() {
  std::vector<GpuInfo> gpus;
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return gpus;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp properties;
    size_t free = 0, total = 0;
    if (cudaGetDeviceProperties(&properties, i) != cudaSuccess) continue;
    if (properties.major != kComputeMajor) continue;
    if (cudaSetDevice(i) != cudaSuccess || cudaMemGetInfo(&free, &total) != cudaSuccess) continue;
    gpus.push_back({.index = i,
                    .name = properties.name,
                    .memory_bytes = total,
                    .free_bytes = free,
                    .multiprocessors = properties.multiProcessorCount,
                    .compute_major = properties.major,
                    .compute_minor = properties.minor});
  }
  return gpus;
}

uint64_t usable_bytes(const GpuInfo& info, const GpuOptions& options) {
  const uint64_t free = info.free_bytes - std::min(info.free_bytes, kReserve + options.left_bytes);
  return options.memory_bytes > 0 ? std::min(free, options.memory_bytes) : free;
}

Result<std::unique_ptr<Gpu>> Gpu::open(const GpuOptions& options) {
  return cuda::Device::create(options);
}

namespace cuda {

void call_failed(const char* file, int line, const char* call, cudaError_t status) {
  check_failed(file, line, fmt::format("{}: {}", call, cudaGetErrorString(status)));
}

Result<std::unique_ptr<Gpu>> Device::create(const GpuOptions& options) {
  const std::vector<GpuInfo> gpus = list_gpus();
  if (options.index < 0 || options.index >= static_cast<int>(gpus.size())) {
    return fail(Code::kUnsupported,
                "there is no GPU {} here that this hachi can use: it finds {} of compute "
                "capability {}.0",
                options.index, gpus.size(), kComputeMajor);
  }
  const GpuInfo& info = gpus[static_cast<size_t>(options.index)];
  std::unique_ptr<Device> device(new Device(info));
  device->limit_ = usable_bytes(info, options);
  device->deterministic_ = options.deterministic;
  device->use();
  for (cudaStream_t* stream : {&device->stream_, &device->beside_}) {
    HACHI_CUDA(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking));
  }
  for (cudaEvent_t* event : {&device->fork_, &device->join_}) {
    HACHI_CUDA(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
  }
  for (Pinned& pinned : device->pinned_) {
    HACHI_CUDA(cudaEventCreateWithFlags(&pinned.sent, cudaEventDisableTiming));
  }
  TRY(device->gemm_, GemmLibrary::load());
  constexpr uint64_t kGroups = kMaxOperand / 32;
  constexpr uint64_t kSlotBytes =
      kMaxOperand * sizeof(uint16_t) + kGroups * (sizeof(OperandGroup) + sizeof(float));
  TRY(device->operands_, device->allocate(kSlots * kSlotBytes));
  std::byte* at = device->operands_;
  for (Staged& slot : device->slots_) {
    slot.operand.rows = at;
    at += kMaxOperand * sizeof(uint16_t);
    slot.operand.groups = reinterpret_cast<OperandGroup*>(at);
    at += kGroups * sizeof(OperandGroup);
    slot.operand.squares = reinterpret_cast<float*>(at);
    at += kGroups * sizeof(float);
  }
  return std::unique_ptr<Gpu>(std::move(device));
}

Device::~Device() {
  use();
  wait();
  drop_graphs();
  gemm_.reset();
  for (Scratch* scratch : {&scratch_, &workspace_, &numbers_}) {
    if (scratch->data != nullptr) free(scratch->data, scratch->bytes);
  }
  for (const auto& [values, data] : constants_) free(data, values.size() * sizeof(float));
  if (operands_ != nullptr) HACHI_CUDA(cudaFree(operands_));
  for (const Pinned& pinned : pinned_) {
    if (pinned.data != nullptr) HACHI_CUDA(cudaFreeHost(pinned.data));
    HACHI_CUDA(cudaEventDestroy(pinned.sent));
  }
  for (cudaEvent_t event : {fork_, join_}) HACHI_CUDA(cudaEventDestroy(event));
  for (cudaStream_t stream : {stream_, beside_}) HACHI_CUDA(cudaStreamDestroy(stream));
}

Result<std::byte*> Device::allocate(uint64_t bytes) {
  use();
  bytes = std::max<uint64_t>(aligned(bytes), 256);
  void* data = nullptr;
  if (used_ + bytes > limit_ || cudaMalloc(&data, bytes) != cudaSuccess) {
    cudaGetLastError();  // what failed stays there otherwise
    return fail(Code::kLimit,
                "{:.0f} MB more do not fit into the GPU's memory: {:.0f} of the {:.0f} MB that may "
                "be used are taken",
                static_cast<double>(bytes) / kMegabyte, static_cast<double>(used_) / kMegabyte,
                static_cast<double>(limit_) / kMegabyte);
  }
  used_ += bytes;
  return static_cast<std::byte*>(data);
}

void Device::free(std::byte* data, uint64_t bytes) {
  use();
  wait();
  HACHI_CUDA(cudaFree(data));
  used_ -= std::max<uint64_t>(aligned(bytes), 256);
}

bool Device::pin(std::byte* host, uint64_t bytes) {
  use();
  if (cudaHostRegister(host, bytes, cudaHostRegisterDefault) == cudaSuccess) return true;
  cudaGetLastError();  // what failed stays there otherwise
  return false;
}

std::byte* Device::mapped(std::byte* host) {
  cudaPointerAttributes found = {};
  if (cudaPointerGetAttributes(&found, host) != cudaSuccess) {
    cudaGetLastError();  // what failed stays there otherwise
    return nullptr;
  }
  return found.type == cudaMemoryTypeHost ? static_cast<std::byte*>(found.devicePointer) : nullptr;
}

void Device::unpin(std::byte* host) {
  use();
  HACHI_CUDA(cudaHostUnregister(host));
}

void Device::upload(std::byte* to, const std::byte* from, uint64_t bytes) {
  queue_upload(to, from, bytes);
  wait();
}

void Device::download(std::byte* to, const std::byte* from, uint64_t bytes) {
  queue_download(to, from, bytes);
  wait();
}

void Device::queue_upload(std::byte* to, const std::byte* from, uint64_t bytes) {
  HACHI_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_));
}

void Device::queue_download(std::byte* to, const std::byte* from, uint64_t bytes) {
  HACHI_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_));
}

void Device::queue_download_beside(std::byte* to, const std::byte* from, uint64_t bytes) {
  if (!is_forked_) {
    HACHI_CUDA(cudaEventRecord(fork_, stream_));
    HACHI_CUDA(cudaStreamWaitEvent(beside_, fork_));
    is_forked_ = true;
  }
  HACHI_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, beside_));
}

void Device::join_beside() {
  if (!std::exchange(is_forked_, false)) return;
  HACHI_CUDA(cudaEventRecord(join_, beside_));
  HACHI_CUDA(cudaStreamWaitEvent(stream_, join_));
}

void Device::zero(std::byte* data, uint64_t bytes) {
  HACHI_CUDA(cudaMemsetAsync(data, 0, bytes, stream_));
}

void Device::wait() {
  join_beside();
  HACHI_CUDA(cudaStreamSynchronize(stream_));
}

std::byte* Device::grown(Scratch& scratch, uint64_t bytes) {
  if (bytes <= scratch.bytes) return scratch.data;
  wait();
  drop_graphs();
  if (scratch.data != nullptr) free(scratch.data, scratch.bytes);
  auto data = allocate(bytes);
  // As Workspace does on processors: the plan of memory has left room for it.
  if (!data) check_failed(__FILE__, __LINE__, data.error().message);
  scratch = {*data, bytes};
  zero(scratch.data, bytes);
  return scratch.data;
}

const float* Device::constants(std::span<const float> values) {
  std::vector<float> key(values.begin(), values.end());
  auto found = constants_.find(key);
  if (found == constants_.end()) {
    auto data = allocate(values.size_bytes());
    if (!data) check_failed(__FILE__, __LINE__, data.error().message);
    upload(*data, reinterpret_cast<const std::byte*>(values.data()), values.size_bytes());
    found = constants_.emplace(std::move(key), *data).first;
  }
  return reinterpret_cast<const float*>(found->second);
}

std::byte* Device::pinned(uint64_t bytes) {
  next_pinned_ = (next_pinned_ + 1) % kPinned;
  Pinned& pinned = pinned_[next_pinned_];
  HACHI_CUDA(cudaEventSynchronize(pinned.sent));
  if (bytes > pinned.bytes) {
    if (pinned.data != nullptr) HACHI_CUDA(cudaFreeHost(pinned.data));
    void* data = nullptr;
    HACHI_CUDA(cudaMallocHost(&data, bytes + bytes / 2));
    pinned.data = static_cast<std::byte*>(data);
    pinned.bytes = bytes + bytes / 2;
  }
  return pinned.data;
}

void Device::send_pinned(std::byte* to, uint64_t bytes) {
  const Pinned& pinned = pinned_[next_pinned_];
  HACHI_CUDA(cudaMemcpyAsync(to, pinned.data, bytes, cudaMemcpyHostToDevice, stream_));
  HACHI_CUDA(cudaEventRecord(pinned.sent, stream_));
}

void Device::begin_step(const BatchView& batch) {
  use();
  const size_t tokens = batch.positions.size();
  const size_t sequences = batch.sequences.size();
  std::vector<int32_t>& first_page = first_page_;
  first_page.clear();
  size_t num_pages = 0;
  max_context_ = 0;
  num_singles_ = 0;
  for (const SequenceSpan& span : batch.sequences) {
    first_page.push_back(static_cast<int32_t>(num_pages));
    if (span.num_tokens == 0) continue;
    if (span.first_token == num_singles_ && span.num_tokens == 1) ++num_singles_;
    const int64_t last =
        batch.positions[static_cast<size_t>(span.first_token + span.num_tokens - 1)];
    max_context_ = std::max(max_context_, last + 1);
    num_pages += static_cast<size_t>(last / kPagePositions + 1);
  }
  // In the order of the fields of DeviceBatch, so that all but the page numbers stand where the
  // counts of tokens and sequences say.
  const size_t count = 3 * tokens + 2 * sequences + 1 + num_pages;
  auto* to = reinterpret_cast<int32_t*>(pinned(count * sizeof(int32_t)));
  int32_t* at = to;
  at = batch.ids.empty() ? std::fill_n(at, tokens, 0)
                         : std::copy(batch.ids.begin(), batch.ids.end(), at);
  at = std::copy(batch.positions.begin(), batch.positions.end(), at);
  for (size_t i = 0; i < sequences; ++i) {
    at = std::fill_n(at, batch.sequences[i].num_tokens, static_cast<int32_t>(i));
  }
  for (const SequenceSpan& span : batch.sequences) *at++ = static_cast<int32_t>(span.first_token);
  *at++ = static_cast<int32_t>(tokens);
  at = std::copy(first_page.begin(), first_page.end(), at);
  for (size_t i = 0; i < sequences; ++i) {
    const size_t end = i + 1 < sequences ? static_cast<size_t>(first_page[i + 1]) : num_pages;
    const auto pages = batch.sequences[i].pages.first(end - static_cast<size_t>(first_page[i]));
    at = std::copy(pages.begin(), pages.end(), at);
  }
  // Twice the room, so that graphs stay as a context grows.
  const uint64_t bytes = count * sizeof(int32_t);
  if (bytes > numbers_.bytes) grown(numbers_, 2 * bytes + kLeastNumbers);
  const auto* numbers = reinterpret_cast<const int32_t*>(numbers_.data);
  send_pinned(numbers_.data, bytes);
  if (std::any_of(batch.ids.begin(), batch.ids.end(), [](int32_t id) { return id < 0; })) {
    CHECK(drawn_ != nullptr);
    take_drawn(stream_, reinterpret_cast<int32_t*>(numbers_.data), drawn_,
               static_cast<int64_t>(tokens));
  }
  batch_.num_tokens = static_cast<int64_t>(tokens);
  batch_.num_sequences = static_cast<int64_t>(sequences);
  batch_.ids = numbers;
  batch_.positions = batch_.ids + tokens;
  batch_.sequences = batch_.positions + tokens;
  batch_.first_token = batch_.sequences + tokens;
  batch_.first_page = batch_.first_token + sequences + 1;
  batch_.pages = batch_.first_page + sequences;
  for (Staged& slot : slots_) slot.valid = false;
  left_ = {};
}

void Device::replay(const ReplayKey& key, const std::function<void()>& work) {
  const auto found = std::find_if(graphs_.begin(), graphs_.end(),
                                  [&](const Graph& graph) { return graph.key == key; });
  if (found == graphs_.end()) {
    // The first time sets up what cannot be set up while work is recorded.
    work();
    graphs_.push_back({.key = key, .graph = nullptr, .slots = {}});
    return;
  }
  if (found->graph == nullptr) {
    cudaGraph_t graph = nullptr;
    HACHI_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    work();
    HACHI_CUDA(cudaStreamEndCapture(stream_, &graph));
    HACHI_CUDA(cudaGraphInstantiate(&found->graph, graph, 0));
    HACHI_CUDA(cudaGraphDestroy(graph));
    found->slots = slots_;
  }
  HACHI_CUDA(cudaGraphLaunch(found->graph, stream_));
  slots_ = found->slots;
}

void Device::forget(const void* owner) {
  use();
  wait();
  for (const Graph& graph : graphs_) {
    if (graph.key.owner == owner && graph.graph != nullptr) {
      HACHI_CUDA(cudaGraphExecDestroy(graph.graph));
    }
  }
  std::erase_if(graphs_, [&](const Graph& graph) { return graph.key.owner == owner; });
}

void Device::drop_graphs() {
  for (const Graph& graph : graphs_) {
    if (graph.graph != nullptr) HACHI_CUDA(cudaGraphExecDestroy(graph.graph));
  }
  graphs_.clear();
}

void Device::begin_marks() {
  num_marks_ = 0;
  mark();
}

void Device::mark() {
  if (num_marks_ == marks_.size()) HACHI_CUDA(cudaEventCreate(&marks_.emplace_back()));
  HACHI_CUDA(cudaEventRecord(marks_[num_marks_++], stream_));
}

std::vector<double> Device::end_marks() {
  wait();
  std::vector<double> seconds;
  for (size_t i = 1; i < num_marks_; ++i) {
    float milliseconds = 0;
    HACHI_CUDA(cudaEventElapsedTime(&milliseconds, marks_[i - 1], marks_[i]));
    seconds.push_back(static_cast<double>(milliseconds) / 1000);
  }
  return seconds;
}

std::optional<Operand> Device::staged(const void* source, const float* norm, int64_t rows,
                                      OperandType type) const {
  for (const Staged& slot : slots_) {
    if (slot.valid && slot.source == source && slot.norm == norm && slot.rows == rows &&
        slot.operand.type == type) {
      return slot.as_read();
    }
  }
  return std::nullopt;
}

Operand Device::stage_for(const void* source, const float* norm, int64_t rows, OperandType type) {
  // A kernel may read one slot while it writes the next: the same source has the same slot.
  auto slot = std::find_if(slots_.begin(), slots_.end(),
                           [&](const Staged& one) { return one.source == source; });
  if (slot == slots_.end()) {
    slot = slots_.begin() + static_cast<std::ptrdiff_t>(next_slot_);
    next_slot_ = (next_slot_ + 1) % kSlots;
  }
  slot->source = source;
  slot->norm = norm;
  slot->rows = rows;
  slot->valid = true;
  slot->operand.type = type;
  return slot->as_read();
}

void Device::written(const void* source) {
  if (left_.source == source) left_ = {};
  for (Staged& slot : slots_) {
    if (slot.source == source) slot.valid = false;
  }
}

}  // namespace cuda
}  // namespace hachi::ops
