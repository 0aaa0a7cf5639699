// StepModel: what the engine runs. A model, or in tests a script of tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/check.h"
#include "core/tensor.h"
#include "core/thread_pool.h"
#include "kernels/context.h"
#include "kernels/draw.h"
#include "model/kv_cache.h"

namespace hachi::engine {

class StepModel {
 public:
  virtual ~StepModel() = default;

  virtual int64_t vocab_size() const = 0;
  virtual int64_t hidden_size() const = 0;
  virtual int64_t context_length() const = 0;  // positions that a sequence may have
  virtual int64_t page_tokens() const = 0;
  virtual int64_t num_pages() const = 0;
  virtual int64_t max_tokens() const = 0;  // of a batch
  virtual int64_t max_rows() const = 0;    // of logits at once

  // Runs a batch of at most max_tokens(). A model that runs ahead takes ids of -1 - r for the token
  // that row r of the last queue_draw() drew.
  virtual void forward(const ops::BatchView& batch) = 0;

  // The logits [R,V] after these rows of the last batch, at most max_rows() of them; until the next
  // call.
  virtual ConstTensor logits(std::span<const int64_t> rows) = 0;

  // Whether the model draws tokens where its logits are, so that they need not come to the host.
  virtual bool draws() const { return false; }

  // Whether forward() may be called between queue_draw() and drawn(), so that a device has its next
  // step before anybody knows the tokens of the last one. It draws then.
  virtual bool runs_ahead() const { return false; }

  struct Drawn {
    std::span<const int32_t> tokens;               // [R]
    std::span<const ops::TokenLogprobs> logprobs;  // [R]
    ConstTensor logits;                            // [R,V]
  };

  // Asks what follows these rows of the last batch, at most max_rows(), also none. If it draws: the
  // token after each row for which `how` says how (but for its `row`), with the logprobs that it
  // wants, and the logits of the others. If not: no tokens, and all logits.
  virtual void queue_draw(std::span<const int64_t> rows,
                          std::span<const std::optional<ops::DrawRow>> how) {
    static_cast<void>(how);
    answer_ = {};
    if (!rows.empty()) answer_.logits = logits(rows);
  }
  // The answer to the last queue_draw(), until the next one. This is where a step waits for its
  // device, and nowhere else, unless logits() or hidden() are asked for.
  virtual Drawn drawn() { return answer_; }

  Drawn draw(std::span<const int64_t> rows, std::span<const std::optional<ops::DrawRow>> how) {
    queue_draw(rows, how);
    return drawn();
  }

  // The logprobs of a token after each of these rows of the last batch, at most max_rows(), with
  // the `num_top` most likely ones; until the next call. Waits for the device, and comes not
  // between queue_draw() and drawn().
  std::span<const ops::TokenLogprobs> score(std::span<const int64_t> rows,
                                            std::span<const int32_t> tokens, int num_top);

  // A smaller model of the same vocabulary, which may guess for it (draft.h); null: none.
  virtual StepModel* draft() { return nullptr; }

  // Seconds in which a device worked on steps, and in which it waited between the parts of steps
  // that followed each other.
  struct DeviceTime {
    double busy = 0, waiting = 0;
  };
  virtual DeviceTime device_time() const { return {}; }
  // No step follows at once: nobody waits until the next.
  virtual void rest() {}

  // The normed hidden states [R,C] of these rows of the last batch; as logits().
  virtual ConstTensor hidden(std::span<const int64_t> rows) = 0;

  // Pages to the processor's memory and back, also to other pages. In the order of calls, and of
  // forward(): the pages are free for others after save_pages(), and there for the next step after
  // load_pages(). A device may make copies of save_pages_beside() while it runs the next step, of
  // which there is one before any other call: they are free for others after that.
  virtual int64_t num_host_pages() const { return 0; }
  virtual double page_copy_seconds() const { return 0; }  // of one page one way; 0: no time
  virtual void save_pages(std::span<const model::PageCopy> copies) { CHECK(copies.empty()); }
  virtual void save_pages_beside(std::span<const model::PageCopy> copies) { save_pages(copies); }
  virtual void load_pages(std::span<const model::PageCopy> copies) { CHECK(copies.empty()); }

  // For work between steps.
  virtual ThreadPool& pool() = 0;

 private:
  Drawn answer_;
  std::vector<std::optional<ops::DrawRow>> scored_rows_;  // [max_rows]
  std::vector<ops::TokenLogprobs> scores_;                // the same, if it does not draw
};

}  // namespace hachi::engine
