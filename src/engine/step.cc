// One turn of the engine's loop: schedule -> forward -> sample -> hand out.
#include <algorithm>

#include "engine/engine.h"

namespace hachi::engine {

bool Engine::step() {
  Flight& flight = flights_[0];
  begin(flight);
  if (flight.slices.empty()) return rest();
  read_prompts(flight);
  for (size_t slice = 0; slice < flight.slices.size();) {
    slice = take_endings(flight, slice);
    queue_draw(flight);
    extend(flight);
  }
  settle(flight);
  if (draft_) ask_draft();
  return true;
}

bool Engine::step_ahead() {
  auto& [last, next] = flights_;
  begin(next);
  if (last.slices.empty() && next.slices.empty()) return rest();
  if (!last.slices.empty()) extend(last);
  // Here the tokens of the last step are known, and the device is at the next one.
  settle(last);
  if (!next.slices.empty()) {
    read_prompts(next);
    take_endings(next, 0);
    queue_draw(next);
  }
  std::swap(last, next);
  return true;
}

void Engine::begin(Flight& flight) {
  const std::span<const Slice> slices = scheduler_.plan();
  host_pages_.run(*model_);
  flight.slices.assign(slices.begin(), slices.end());
  flight.endings.clear();
  flight.begun = Clock::now();
  flight.tokens_to_time = scheduler_.tokens_to_time();
  if (slices.empty()) return;
  flight.batch.fill(slices);
  model_->forward(flight.batch.view());
  for (const Slice& slice : flight.slices) scheduler_.start(slice);
}

// Its tokens are known: hands them out, and ends what has ended.
void Engine::settle(Flight& flight) {
  if (flight.slices.empty()) return;
  ++counts_.steps;
  // The device came to it when it was done with the last one, if that still ran.
  const auto now = Clock::now();
  const auto time = now - std::max(flight.begun, counts_.last_step);
  scheduler_.learn_time(flight.tokens_to_time, std::chrono::duration<double>(time).count());
  counts_.last_step = now;
  ended_.clear();
  for (const Slice& slice : flight.slices) {
    if (slice.sequence != nullptr && slice.sequence->finish) ended_.push_back(slice.sequence);
  }
  for (Sequence* sequence : ended_) end(*sequence, *sequence->finish);
  flight.slices.clear();
  publish();
  if (on_news_) on_news_();
}

bool Engine::rest() {
  if (all_wait_for_readers()) counts_.last_step = Clock::now();
  publish();
  model_->rest();
  return false;
}

bool Engine::all_wait_for_readers() const {
  const auto waits = [](const auto& one) { return one->waits_for_reader(); };
  return std::all_of(scheduler_.running().begin(), scheduler_.running().end(), waits) &&
         std::all_of(scheduler_.waiting().begin(), scheduler_.waiting().end(), waits);
}

void Engine::publish() {
  counts_.running = static_cast<int64_t>(scheduler_.running().size());
  counts_.waiting = static_cast<int64_t>(scheduler_.waiting().size());
  counts_.num_pages = pages_.num_pages();
  counts_.free_pages = pages_.num_free();
  counts_.cached_pages = scheduler_.prefixes().size();
  // Whatever is shared is shared with the tree.
  counts_.idle_pages = counts_.cached_pages - pages_.num_shared();
  counts_.preemptions = scheduler_.preemptions();
  counts_.evictions = scheduler_.prefixes().evictions();
  counts_.num_host_pages = host_pages_.pool().num_pages();
  counts_.free_host_pages = host_pages_.pool().num_free();
  counts_.cached_host_pages = scheduler_.prefixes().host_size();
  counts_.moved_out = scheduler_.prefixes().moved_out();
  counts_.moved_in = scheduler_.prefixes().moved_in();
  counts_.swap = scheduler_.swap_counts();
  counts_.prefix = scheduler_.prefix_counts();
  const StepModel::DeviceTime time = model_->device_time();
  counts_.device_busy = time.busy;
  counts_.device_waiting = time.waiting;
  stats_.store(counts_);
}

}  // namespace hachi::engine
