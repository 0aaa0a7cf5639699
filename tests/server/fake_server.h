// FakeServer: the whole server on a free port before the engine with a fake model, whose answers
// cost nothing and can be dictated.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "engine/fake_model.h"
#include "formats/checkpoint.h"
#include "server/app.h"
#include "server/small_tokenizer.h"

namespace hachi::server::testing {

// True once `condition` is; false if that takes ten seconds.
template <class Condition>
bool eventually(const Condition& condition) {
  for (int i = 0; i < 10'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

// Holds the engine's thread before a step until it is opened.
class Gate {
 public:
  void close() {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    num_free_ = 0;
  }
  void open() {
    const std::lock_guard lock(mutex_);
    is_closed_ = false;
    changed_.notify_all();
  }
  // Lets `count` steps through and closes again.
  void let(int count) {
    std::unique_lock lock(mutex_);
    num_free_ += count;
    changed_.notify_all();
  }
  // Called by who has to wait.
  void pass() {
    std::unique_lock lock(mutex_);
    ++num_waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !is_closed_ || num_free_ > 0; });
    --num_waiting_;
    if (is_closed_) --num_free_;
  }
  // True once somebody waits at the closed gate; false if that takes ten seconds.
  bool holds() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [this] { return holds_somebody(); });
  }

  bool holds_now() {
    const std::lock_guard lock(mutex_);
    return holds_somebody();
  }

 private:
  bool holds_somebody() const { return is_closed_ && num_free_ == 0 && num_waiting_ > 0; }

  std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  bool is_closed_ = false;
  int num_free_ = 0;
  int num_waiting_ = 0;
};

struct FakeServerOptions {
  AppOptions app;
  engine::testing::FakeModelOptions model{.num_pages = 1024, .max_tokens = 256};
  int replicas = 1;
  std::vector<OfferedModel> offered{{.name = "fake"}};
  std::shared_ptr<const KeyRing> keys;
  std::string chat_template{kChatTemplate};  // "": none
  bool with_text = false;                    // in the log
  bool with_log = true;
  // Called on the loading thread, with the model's place; an error is the load's.
  std::function<Result<void>(size_t)> before_load = [](size_t) { return Result<void>(); };
  // Called with what a model brings along.
  std::function<void(ModelParts&)> change_parts = [](ModelParts&) {};
};

// At its end it checks that every request has ended and every page is free or cached.
class FakeServer {
 public:
  explicit FakeServer(FakeServerOptions options = {}) : options_(std::move(options)) {
    options_.model.vocab_size = tokenizer_.vocab_size();
    options_.model.script_mark = *tokenizer_.id(kBeginMark);
    options_.model.script = [this](int64_t place) { return scripted(place); };
    options_.model.on_step = [this, own = options_.model.on_step](const auto& batch) {
      gate.pass();
      if (own) own(batch);
    };
    engine::SchedulerOptions& scheduler = options_.app.models.engine.scheduler;
    scheduler.page_tokens = options_.model.page_tokens;
    scheduler.step_tokens = std::min(scheduler.step_tokens, options_.model.max_tokens);
    scheduler.max_sequences = std::min(scheduler.max_sequences, scheduler.step_tokens);
    std::unique_ptr<AccessLog> log;
    if (options_.with_log) {
      log_path_ = std::filesystem::path(::testing::TempDir()) /
                  fmt::format("access-{}-{}.log", ::getpid(), next_number());
      auto opened = AccessLog::open({.file = log_path_, .with_text = options_.with_text});
      EXPECT_TRUE(opened);
      log = *std::move(opened);
    }
    auto started = App::start(
        options_.app, options_.offered, [this](size_t place) { return load(place); }, options_.keys,
        std::move(log));
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
    app_ = *std::move(started);
  }

  ~FakeServer() {
    gate.open();
    stop();
    app_.reset();
    if (!log_path_.empty()) std::filesystem::remove(log_path_);
  }

  uint16_t port() const { return app_->port(); }
  App& app() { return *app_; }
  const tokenizer::Tokenizer& tokenizer() const { return tokenizer_; }
  // How often a model was opened.
  int num_loads() const { return num_loads_; }

  // The model, loaded.
  std::shared_ptr<ServedModel> model(std::string_view name = "") {
    auto model = app_->models().load(name);
    EXPECT_TRUE(model) << (model ? "" : model.error().message);
    return *std::move(model);
  }
  int64_t num_open() {
    int64_t open = 0;
    for (const auto& one : app_->models().loaded()) open += one ? one->engine.num_open() : 0;
    return open;
  }
  // True when all requests have ended within ten seconds.
  bool becomes_idle() {
    return eventually([this] { return num_open() == 0; });
  }

  // From now on the answers to conversations are `text`, then the end. `start` is what stands
  // between the last mark of the prompt and the answer.
  void say(std::string_view text, std::string_view start = kPlainStart) {
    say_tokens(tokenizer_.encode(text), start);
  }
  void say_tokens(std::vector<int32_t> tokens, std::string_view start = kPlainStart) {
    tokens.push_back(*tokenizer_.id(kEndMark));
    const std::lock_guard lock(script_mutex_);
    script_ = std::move(tokens);
    script_start_ = static_cast<int64_t>(tokenizer_.encode(start).size());
  }
  // The answers are the fake model's own again, a function of the prompt.
  void say_anything() {
    const std::lock_guard lock(script_mutex_);
    script_.clear();
  }

  // The log so far.
  std::string log_text() {
    app_->log()->flush();
    std::ifstream in(log_path_);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  // Requests that have ended, whatever their end.
  int64_t num_logged() {
    const std::string text = log_text();
    return std::count(text.begin(), text.end(), '\n');
  }

  // Ends the server; whoever is there has `grace`.
  void stop(std::chrono::milliseconds grace = {}) {
    if (std::exchange(is_stopped_, true)) return;
    const auto models = app_->models().loaded();
    app_->stop(grace);
    for (const auto& one : models) {
      if (!one) continue;
      EXPECT_TRUE(one->engine.stop_and_check());
      EXPECT_EQ(one->engine.num_open(), 0);
      const engine::EngineStats stats = one->engine.stats();
      EXPECT_EQ(stats.free_pages + stats.idle_pages, stats.num_pages);
    }
  }

  Gate gate;  // before each step of each model

 private:
  static int next_number() {
    static std::atomic<int> number{0};
    return ++number;
  }

  // The token after `place` tokens behind the last mark; -1: whatever the model likes.
  int32_t scripted(int64_t place) {
    const std::lock_guard lock(script_mutex_);
    place -= script_start_;
    if (script_.empty() || place < 0) return -1;
    return script_[std::min(static_cast<size_t>(place), script_.size() - 1)];
  }

  Result<ModelParts> load(size_t place) {
    ++num_loads_;
    TRY(options_.before_load(place));
    ModelParts parts{.tokenizer = small_tokenizer()};
    parts.end_ids = {*parts.tokenizer.id(kEndMark)};
    if (!options_.chat_template.empty()) {
      const auto nothing = formats::Checkpoint::in_memory({"fake", {}, {}, {}});
      TRY(parts.prompter, chat::Prompter::open(nothing, parts.tokenizer, options_.chat_template));
    }
    for (int i = 0; i < options_.replicas; ++i) {
      parts.runners.push_back(std::make_unique<engine::testing::FakeModel>(options_.model));
    }
    options_.change_parts(parts);
    return parts;
  }

  FakeServerOptions options_;
  tokenizer::Tokenizer tokenizer_ = small_tokenizer();
  std::mutex script_mutex_;  // guards script_ and script_start_
  std::vector<int32_t> script_;
  int64_t script_start_ = 0;
  std::atomic<int> num_loads_{0};
  std::filesystem::path log_path_;
  std::unique_ptr<App> app_;
  bool is_stopped_ = false;
};

}  // namespace hachi::server::testing
