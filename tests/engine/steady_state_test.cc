// A step in which no request comes or goes allocates nothing. A program of its own, as it replaces
// the operators new of all its code.
#include <atomic>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/engine_fixture.h"
#include "engine/scripted_constraint.h"

namespace {
thread_local int64_t allocations = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void* operator new(size_t size, std::align_val_t alignment) {
  ++allocations;
  const auto to = static_cast<size_t>(alignment);
  if (void* memory = std::aligned_alloc(to, (size + to - 1) / to * to)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace hachi::engine {
namespace {

using testing::FakeModel;
using testing::FakeModelOptions;
using testing::ScriptedConstraint;

void expect_no_allocation(bool runs_ahead) {
  constexpr int64_t kRequests = 12;
  int64_t before = 0, drawing = 0, steady_steps = 0, allocated = 0;
  std::atomic<bool> all_asked{false};  // before, no step ends
  bool was_steady = false;
  const FakeModelOptions model{.num_pages = 400,
                               .host_pages = 50,
                               .max_rows = 16,
                               .runs_ahead = runs_ahead,
                               .on_step =
                                   [&](const ops::BatchView& batch) {
                                     while (!all_asked) std::this_thread::yield();
                                     // All decode, in this step and in the one before.
                                     const bool steady =
                                         static_cast<int64_t>(batch.sequences.size()) == kRequests;
                                     if (steady && was_steady) {
                                       ++steady_steps;
                                       allocated += allocations - before;
                                     }
                                     was_steady = steady;
                                     before = allocations;
                                   },
                               // What stands in for a device's drawing is none of the engine's.
                               .on_draw =
                                   [&](bool begins) {
                                     if (begins) drawing = allocations;
                                     if (!begins) before += allocations - drawing;
                                   }};
  const EngineOptions options{
      .scheduler = {.max_sequences = 16, .step_tokens = 64, .prompt_tokens = 16, .page_tokens = 4},
      .stream_events = 200,
      .guess_tokens = runs_ahead ? 0 : 3};
  Engine engine(std::make_unique<FakeModel>(model), options);
  std::vector<std::shared_ptr<Stream>> streams;
  for (int32_t i = 0; i < kRequests; ++i) {
    Request request{.prompt = {1, 2, 3, i},
                    .sampling = {.repetition_penalty = 1.1, .seed = static_cast<uint64_t>(i)},
                    .max_tokens = 100};
    if (i % 2 == 0) request.top_logprobs = 5;
    // These take part in every other step when steps run ahead, so that no step has all.
    if (!runs_ahead && i % 5 == 0) testing::draw_here(request);
    if (i % 3 == 0) request.sampling = {.temperature = 0};
    auto constraint =
        i % 4 < 2 ? nullptr : std::make_unique<ScriptedConstraint>(testing::ScriptedOptions{});
    streams.push_back(*engine.submit(std::move(request), std::move(constraint)));
  }
  all_asked = true;
  for (const auto& stream : streams) testing::read(*stream);
  EXPECT_TRUE(engine.stop_and_check());
  EXPECT_GT(steady_steps, 20);
  EXPECT_EQ(allocated, 0);
}

TEST(SteadyState, StepsAllocateNothing) { expect_no_allocation(false); }
TEST(SteadyState, StepsAheadAllocateNothing) { expect_no_allocation(true); }

}  // namespace
}  // namespace hachi::engine
