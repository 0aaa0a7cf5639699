// FakeModel: a model that costs nothing and can tell when the engine hands it the wrong pages. What
// it keeps in a page at a position is a hash of all tokens up to there, made from what it finds in
// the page of the position before; its logits are a function of that hash. Pages of the host hold
// the same, until they are loaded: then they hold nothing any more.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "core/check.h"
#include "core/random.h"
#include "engine/step_model.h"

namespace hachi::engine::testing {

struct FakeModelOptions {
  int64_t vocab_size = 50;
  int64_t context_length = 1 << 20;
  int64_t page_tokens = 4;
  int64_t num_pages = 64;
  int64_t host_pages = 0;
  double page_copy_seconds = 0;  // that it says a copy takes
  int64_t max_tokens = 64;
  int64_t max_rows = 8;
  int threads = 1;
  bool draws = false;       // by itself, by the op's reference
  bool runs_ahead = false;  // takes tokens that nobody knows yet; draws too
  std::chrono::microseconds step_time{0};
  // In such a share of all texts its logits are those of another text.
  double wrong_share = 0;
  // What is to be said: the next token after `place` tokens behind the last `script_mark` of the
  // text, or -1 for whatever the hash says. Called on the engine's thread.
  std::function<int32_t(int64_t place)> script;
  int32_t script_mark = -1;
  // Called before each step with its tokens.
  std::function<void(const ops::BatchView&)> on_step;
  // Called before it draws (true), and after.
  std::function<void(bool)> on_draw;
};

class FakeModel : public StepModel {
 public:
  static constexpr int64_t kHidden = 3;

  explicit FakeModel(const FakeModelOptions& options)
      : options_(options),
        pool_(options.threads),
        states_(static_cast<size_t>(options.num_pages * options.page_tokens)),
        places_(states_.size(), kNoPlace),
        host_states_(static_cast<size_t>(options.host_pages * options.page_tokens), kNothing),
        host_places_(host_states_.size(), kNoPlace),
        row_places_(static_cast<size_t>(options.max_tokens)),
        rows_(static_cast<size_t>(options.max_tokens)),
        logits_(static_cast<size_t>(options.max_rows * options.vocab_size)),
        hidden_(static_cast<size_t>(options.max_rows * kHidden)) {
    tokens_.reserve(static_cast<size_t>(options.max_rows));
    beside_.reserve(static_cast<size_t>(options.num_pages));
    logprobs_.resize(static_cast<size_t>(options.max_rows));
  }

  int64_t vocab_size() const override { return options_.vocab_size; }
  int64_t hidden_size() const override { return kHidden; }
  int64_t context_length() const override { return options_.context_length; }
  int64_t page_tokens() const override { return options_.page_tokens; }
  int64_t num_pages() const override { return options_.num_pages; }
  int64_t max_tokens() const override { return options_.max_tokens; }
  int64_t max_rows() const override { return options_.max_rows; }
  ThreadPool& pool() override { return pool_; }
  int64_t num_host_pages() const override { return options_.host_pages; }
  double page_copy_seconds() const override { return options_.page_copy_seconds; }

  void save_pages(std::span<const model::PageCopy> copies) override {
    CHECK(beside_.empty());
    for (const model::PageCopy& copy : copies) save(copy);
    num_saved_ += std::ssize(copies);
  }
  // As late as may be.
  void save_pages_beside(std::span<const model::PageCopy> copies) override {
    CHECK(beside_.empty());
    beside_.assign(copies.begin(), copies.end());
    num_saved_beside_ += std::ssize(copies);
  }
  int64_t num_saved() const { return num_saved_; }  // before steps
  int64_t num_saved_beside() const { return num_saved_beside_; }
  void load_pages(std::span<const model::PageCopy> copies) override {
    CHECK(beside_.empty());
    for (const model::PageCopy& copy : copies) {
      copy_page(host_states_, copy.host_page, states_, copy.page);
      copy_page(host_places_, copy.host_page, places_, copy.page);
      std::fill_n(at(host_states_, copy.host_page), options_.page_tokens, kNothing);
    }
  }

  // The hash after `token` at the end of a text whose hash is `before` (0: no text).
  static uint64_t next_state(uint64_t before, int32_t token) {
    const auto words = philox4x32({static_cast<uint32_t>(token), static_cast<uint32_t>(before),
                                   static_cast<uint32_t>(before >> 32), 1},
                                  {0, 0});
    return (static_cast<uint64_t>(words[0]) << 32 | words[1]) + 1;
  }

  // [V] of a text with this hash: few tokens are likely, so that texts repeat themselves.
  static void fill_logits(uint64_t state, std::span<float> logits) {
    for (size_t v = 0; v < logits.size(); ++v) {
      const auto token = static_cast<uint64_t>(v);
      logits[v] = static_cast<float>(8 * uniform(state % 64, token) + uniform(state, token));
    }
  }

  static void fill_hidden(uint64_t state, std::span<float> hidden) {
    for (size_t i = 0; i < hidden.size(); ++i) {
      hidden[i] = static_cast<float>(uniform(state, i, 1)) - 0.5f;
    }
  }

  void forward(const ops::BatchView& batch) override {
    if (options_.on_step) options_.on_step(batch);
    if (is_asked_) ++num_ahead_;
    if (options_.step_time.count() > 0) std::this_thread::sleep_for(options_.step_time);
    CHECK(static_cast<int64_t>(batch.ids.size()) <= options_.max_tokens);
    for (const ops::SequenceSpan& span : batch.sequences) {
      for (int64_t row = span.first_token; row < span.first_token + span.num_tokens; ++row) {
        const int64_t position = batch.positions[static_cast<size_t>(row)];
        const uint64_t before = position == 0 ? 0 : states_[slot(span, position - 1)];
        const int32_t token = token_of(batch.ids[static_cast<size_t>(row)]);
        const int64_t place = position == 0 ? kNoPlace : places_[slot(span, position - 1)];
        states_[slot(span, position)] = next_state(before, token);
        places_[slot(span, position)] = token == options_.script_mark ? 0
                                        : place == kNoPlace           ? kNoPlace
                                                                      : place + 1;
        rows_[static_cast<size_t>(row)] = states_[slot(span, position)];
        row_places_[static_cast<size_t>(row)] = places_[slot(span, position)];
      }
    }
    for (const model::PageCopy& copy : beside_) save(copy);
    beside_.clear();
  }

  ConstTensor logits(std::span<const int64_t> rows) override {
    const auto width = static_cast<size_t>(options_.vocab_size);
    return fill(rows, logits_, options_.vocab_size, [&](size_t row, float* out) {
      const int64_t place = row_places_[row];
      const int32_t said = options_.script && place != kNoPlace ? options_.script(place) : -1;
      const bool is_wrong = uniform(rows_[row], 1, 2) < options_.wrong_share;
      if (said < 0) return fill_logits(rows_[row] + (is_wrong ? 1 : 0), {out, width});
      std::fill_n(out, width, 0.0f);
      out[said] = kCertain;
    });
  }

  bool draws() const override { return options_.draws || options_.runs_ahead; }
  bool runs_ahead() const override { return options_.runs_ahead; }
  // Steps that it was given before the tokens of the last one were known.
  int64_t num_ahead() const { return num_ahead_; }

  void set_draft(const FakeModelOptions& options) { draft_ = std::make_unique<FakeModel>(options); }
  StepModel* draft() override { return draft_.get(); }

  void queue_draw(std::span<const int64_t> rows,
                  std::span<const std::optional<ops::DrawRow>> how) override {
    CHECK(!is_asked_);
    is_asked_ = true;
    answer_ = {};
    if (rows.empty()) return;
    answer_.logits = logits(rows);
    if (!draws()) return;
    if (options_.on_draw) options_.on_draw(true);
    tokens_.assign(rows.size(), -1);
    answer_.tokens = tokens_;
    answer_.logprobs = std::span(logprobs_).first(rows.size());
    ops::Context ctx;
    ctx.device = ops::Device::kRef;
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!how[i]) continue;
      ops::DrawRow one = *how[i];
      one.row = static_cast<int64_t>(i);
      ops::draw(ctx, {&tokens_[i], 1}, answer_.logits, {&one, 1}, nullptr, {&logprobs_[i], 1});
      // Nobody may look at what did not come to the host.
      std::fill_n(&logits_[i * static_cast<size_t>(options_.vocab_size)], options_.vocab_size, NAN);
    }
    if (options_.on_draw) options_.on_draw(false);
  }

  Drawn drawn() override {
    CHECK(is_asked_);
    is_asked_ = false;
    return answer_;
  }

  ConstTensor hidden(std::span<const int64_t> rows) override {
    return fill(rows, hidden_, kHidden, [this](size_t row, float* out) {
      fill_hidden(rows_[row], {out, static_cast<size_t>(kHidden)});
    });
  }

 private:
  static constexpr int64_t kNoPlace = -1;
  static constexpr float kCertain = 30;
  static constexpr uint64_t kNothing = 0xdead;  // no hash of any text

  template <class T>
  typename std::vector<T>::iterator at(std::vector<T>& all, int32_t page) {
    CHECK(page >= 0 && (page + 1) * options_.page_tokens <= std::ssize(all));
    return all.begin() + page * options_.page_tokens;
  }
  void save(const model::PageCopy& copy) {
    copy_page(states_, copy.page, host_states_, copy.host_page);
    copy_page(places_, copy.page, host_places_, copy.host_page);
  }
  template <class T>
  void copy_page(std::vector<T>& from, int32_t page, std::vector<T>& to, int32_t to_page) {
    std::copy_n(at(from, page), options_.page_tokens, at(to, to_page));
  }

  int32_t token_of(int32_t id) const {
    if (id >= 0) return id;
    CHECK(options_.runs_ahead);
    const int32_t token = tokens_[static_cast<size_t>(-1 - id)];
    CHECK(token >= 0);
    return token;
  }

  size_t slot(const ops::SequenceSpan& span, int64_t position) const {
    const int64_t page = span.pages[static_cast<size_t>(position / options_.page_tokens)];
    return static_cast<size_t>(page * options_.page_tokens + position % options_.page_tokens);
  }

  // fill_row(row of the last batch, its place in `values`).
  template <class FillRow>
  ConstTensor fill(std::span<const int64_t> rows, std::vector<float>& values, int64_t width,
                   const FillRow& fill_row) {
    const auto count = static_cast<int64_t>(rows.size());
    CHECK(count > 0 && count <= options_.max_rows);
    for (int64_t i = 0; i < count; ++i) {
      fill_row(static_cast<size_t>(rows[static_cast<size_t>(i)]),
               &values[static_cast<size_t>(i * width)]);
    }
    return ConstTensor(values.data(), DType::kF32, {count, width});
  }

  FakeModelOptions options_;
  ThreadPool pool_;
  // By page and position: the hash of the text, and the tokens behind its last mark.
  std::vector<uint64_t> states_;
  std::vector<int64_t> places_;
  std::vector<uint64_t> host_states_;
  std::vector<int64_t> host_places_;
  std::vector<model::PageCopy> beside_;  // that were not made yet
  std::vector<int64_t> row_places_;      // of the last batch
  std::vector<uint64_t> rows_;           // the same
  std::vector<float> logits_;
  std::vector<float> hidden_;
  std::vector<int32_t> tokens_;  // of the last queue_draw()
  std::vector<ops::TokenLogprobs> logprobs_;
  Drawn answer_;
  bool is_asked_ = false;
  std::unique_ptr<FakeModel> draft_;
  int64_t num_ahead_ = 0;
  int64_t num_saved_ = 0, num_saved_beside_ = 0;
};

}  // namespace hachi::engine::testing
