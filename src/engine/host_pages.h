// HostPages: pages of the processor's memory, into which pages of the KV cache move when the device
// has no room for them, and the copies that this takes.
//
// Copies are made in the order in which they were asked for. So a page, here or on the device, may
// have another owner, and be the target of another copy, as soon as its own copy was asked for.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/pages.h"
#include "engine/step_model.h"

namespace hachi::engine {

class HostPages {
 public:
  // `copy_seconds`: what one page takes one way. Room for as many copies at once as there are pages
  // on both sides, so that asking does not allocate.
  HostPages(int64_t num_pages, int64_t num_device_pages, double copy_seconds);

  // Who holds which: sequences that are swapped out and the prefix tree, never two of them.
  PagePool& pool() { return pool_; }
  const PagePool& pool() const { return pool_; }
  double copy_seconds() const { return copy_seconds_; }

  // From the device's `page`, and to it.
  void save(int32_t page, int32_t host_page) { ask(Kind::kSave, page, host_page); }
  void load(int32_t page, int32_t host_page) { ask(Kind::kLoad, page, host_page); }
  // While the next step runs: until that was given to the model, nobody may have the page, and no
  // other copy may be asked for.
  void save_beside(int32_t page, int32_t host_page) { ask(Kind::kSaveBeside, page, host_page); }

  // Has the model make all copies that were asked for since the last call.
  void run(StepModel& model);

 private:
  enum class Kind { kSave, kSaveBeside, kLoad };
  // Copies of one kind, one after the other in copies_.
  struct Run {
    Kind kind;
    size_t count;
  };

  void ask(Kind kind, int32_t page, int32_t host_page);

  PagePool pool_;
  double copy_seconds_;
  std::vector<model::PageCopy> copies_;
  std::vector<Run> runs_;
};

}  // namespace hachi::engine
