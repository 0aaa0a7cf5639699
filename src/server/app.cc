#include "server/app.h"

#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>

#include "server/batch_runner.h"
#include "server/origins.h"
#include "server/router.h"
#include "server/visit.h"

namespace hachi::server {
namespace {

// How long an engine with work may go without a step before it counts as stuck: far longer than the
// longest step, a prompt's chunk on a slow machine.
constexpr auto kStuck = std::chrono::seconds(60);

// For the last words of answers that are cut.
constexpr auto kTimeToSayWhy = std::chrono::seconds(1);

uint64_t draw_secret() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

EngineCounts counts_of(const engine::EngineStats& stats) {
  return {.running = stats.running,
          .waiting = stats.waiting,
          .num_pages = stats.num_pages,
          .free_pages = stats.free_pages,
          .cached_pages = stats.cached_pages,
          .idle_pages = stats.idle_pages,
          .steps = stats.steps,
          .prompt_tokens = stats.prompt_tokens,
          .generated_tokens = stats.generated_tokens,
          .guessed_tokens = stats.guessed_tokens,
          .accepted_tokens = stats.accepted_tokens,
          .preemptions = stats.preemptions,
          .evictions = stats.evictions,
          .device_busy = stats.device_busy,
          .device_waiting = stats.device_waiting,
          .num_host_pages = stats.num_host_pages,
          .free_host_pages = stats.free_host_pages,
          .cached_host_pages = stats.cached_host_pages,
          .moved_out = stats.moved_out,
          .moved_in = stats.moved_in,
          .swapped = stats.swap.waiting,
          .swaps = stats.swap.sequences,
          .swapped_out = stats.swap.out,
          .swapped_in = stats.swap.in,
          .prefix_hit = stats.prefix.hit,
          .prefix_hit_host = stats.prefix.hit_host,
          .prefix_miss_new = stats.prefix.miss_new,
          .prefix_miss_forgotten = stats.prefix.miss_forgotten,
          .prefix_miss_other_salt = stats.prefix.miss_other_salt,
          .prefix_miss_page_end = stats.prefix.miss_page_end,
          .prefix_miss_not_shared = stats.prefix.miss_not_shared};
}

}  // namespace

App::App(AppOptions options, std::vector<OfferedModel> offered,
         std::function<Result<ModelParts>(size_t)> load, std::shared_ptr<const KeyRing> keys,
         std::unique_ptr<AccessLog> log)
    : options_(std::move(options)),
      secret_(draw_secret()),
      keys_(std::move(keys)),
      log_(std::move(log)),
      metrics_(HACHI_VERSION),
      text_pool_(static_cast<size_t>(options_.text_threads)),
      models_(std::move(offered), options_.models, std::move(load), [this] {
        for (const auto& hub : hubs_) hub->notify();
        if (batches_) batches_->notify();
      }) {}

Result<std::unique_ptr<App>> App::start(AppOptions options, std::vector<OfferedModel> offered,
                                        std::function<Result<ModelParts>(size_t)> load,
                                        std::shared_ptr<const KeyRing> keys,
                                        std::unique_ptr<AccessLog> log) {
  std::unique_ptr<App> app(new App(std::move(options), std::move(offered), std::move(load),
                                   std::move(keys), std::move(log)));
  App* self = app.get();
  self->open_storage();
  TRY(app->http_,
      net::HttpServer::start(
          self->options_.http, [self](net::Exchange& exchange) { return self->handle(exchange); },
          [self](const net::HttpRequest& head) { return self->check_head(head); }));
  for (int i = 0; i < app->http_->num_threads(); ++i) {
    TRY(auto hub, NewsHub::create(app->http_->context(i)));
    app->hubs_.push_back(std::move(hub));
  }
  // It may load models, whose news go to all hubs.
  if (app->batches_) app->batches_->start();
  app->is_ready_ = true;
  return app;
}

void App::open_storage() {
  if (options_.data_folder.empty()) return;
  auto storage = Storage::open(options_.data_folder, options_.max_data_bytes);
  if (!storage) {
    storage_error_ = std::move(storage).error().message;
    return;
  }
  auto runner = BatchRunner::create(*this, **storage);
  if (!runner) {
    storage_error_ = std::move(runner).error().message;
    return;
  }
  storage_ = *std::move(storage);
  batches_ = *std::move(runner);
}

int64_t App::now_us() const {
  const auto since = options_.now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(since).count();
}

void App::wake_batches() {
  if (batches_) batches_->wake();
}

App::~App() { stop(std::chrono::milliseconds(0)); }

void App::stop(std::chrono::milliseconds grace) {
  if (is_stopped_ || !http_) return;
  is_stopped_ = true;
  if (batches_) batches_->stop();
  // What still runs when the time is over is ended by its engine, so that its reader hears why.
  std::mutex mutex;  // for what the condition needs alone
  std::condition_variable_any over;
  std::jthread ender([&](const std::stop_token& drained) {
    std::unique_lock lock(mutex);
    over.wait_for(lock, drained, grace, [] { return false; });
    if (!drained.stop_requested()) models_.close();
  });
  http_->drain(grace + kTimeToSayWhy);
  ender.request_stop();
  ender.join();
  if (batches_) batches_->join();
  load_pool_.join();
  text_pool_.join();
  file_pool_.join();
  for (const auto& hub : hubs_) hub->close();
  models_.close();
}

NewsHub& App::hub_of(const net::Exchange& exchange) {
  const auto& context = boost::asio::query(exchange.executor(), boost::asio::execution::context);
  for (size_t i = 0; i < hubs_.size(); ++i) {
    if (&http_->context(static_cast<int>(i)) == &context) return *hubs_[i];
  }
  CHECK(false);
  return *hubs_[0];
}

// Before the body is read: who may not ask sends it in vain.
std::variant<uint64_t, net::HttpResponse> App::check_head(const net::HttpRequest& head) {
  const RouteMatch match = find_route(head.method, head.path);
  const auto refuse = [&](const api::ApiError& error) {
    return refuse_head(head, match.route, error);
  };
  if (!is_ready_) return refuse({503, "the server is starting: try again", "", "starting"});
  const bool is_local = is_local_host(options_.http.host);
  if (auto why = refuse_origin(head, options_.cors_origins, is_local)) {
    return refuse({403, *std::move(why), "", "origin_not_allowed"});
  }
  if (match.route == nullptr) return options_.max_body_bytes;  // refused after it
  const auto ring = keys_.get();
  if (ring && match.route->needs_key && find_key(*ring, head) == nullptr) {
    metrics_.count_rejected("key");
    return refuse({401,
                   "this server asks for an API key: send it as 'Authorization: Bearer KEY' or "
                   "'x-api-key: KEY'",
                   "", "invalid_api_key"});
  }
  return match.route->takes_file ? options_.max_file_bytes : options_.max_body_bytes;
}

net::HttpResponse App::refuse_head(const net::HttpRequest& head, const Route* route,
                                   const api::ApiError& error) {
  metrics_.count_request(route == nullptr ? "other" : route->pattern, error.status);
  if (log_) {
    log_->write({.time = std::chrono::system_clock::now(),
                 .client = head.peer,
                 .method = head.method,
                 .path = head.path,
                 .status = error.status,
                 .error = error.code});
  }
  net::HttpResponse response;
  response.status = error.status;
  response.headers.add("Content-Type", "application/json");
  if (error.status == 401) response.headers.add("WWW-Authenticate", "Bearer");
  if (error.status == 503) response.headers.add("Retry-After", "1");
  add_cors_headers(response.headers, head, options_.cors_origins);
  if (route != nullptr && route->style == ErrorStyle::kAnthropic) {
    api::append_anthropic_error(response.body, error);
  } else {
    api::append_openai_error(response.body, error);
  }
  return response;
}

net::awaitable<void> App::handle(net::Exchange& exchange) {
  Visit visit(*this, exchange);
  RouteMatch match = find_route(exchange.request().method, exchange.request().path);
  if (match.route != nullptr) {
    visit.set_route(match.route->pattern, match.route->style);
    // The keys may have changed while the body came.
    if (visit.identify() || !match.route->needs_key) {
      co_return co_await match.route->answer(visit, std::move(match.id));
    }
    api::ApiError error{401, "the API key is not valid any more", "", "invalid_api_key"};
    co_return co_await visit.send_error(error);
  }
  if (exchange.request().method == "OPTIONS" && !options_.cors_origins.empty()) {
    co_return co_await visit.send(204, "text/plain", "");
  }
  api::ApiError error{404, fmt::format("there is nothing at {}", exchange.request().path), "", ""};
  if (!match.allowed.empty()) {
    error.status = 405;
    error.message = fmt::format("{} answers {}, not {}", exchange.request().path, match.allowed,
                                exchange.request().method);
    visit.add_header("Allow", std::move(match.allowed));
  }
  co_await visit.send_error(error);
}

std::string App::metrics_text() {
  metrics_.connections = http_->num_connections();
  if (log_) metrics_.access_log_dropped = log_->dropped();
  const auto loaded = models_.loaded();
  std::vector<ModelReport> reports;
  for (const auto& model : loaded) {
    if (model) reports.push_back({&model->metrics, counts_of(model->engine.stats())});
  }
  std::string out;
  append_metrics(out, metrics_, reports);
  return out;
}

bool App::is_healthy() const {
  for (const auto& model : models_.loaded()) {
    if (model && model->engine.is_stuck(kStuck)) return false;
  }
  return true;
}

}  // namespace hachi::server
