// App: what all exchanges of a server share, and the life of an exchange from its head to its line
// in the log.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <boost/asio/thread_pool.hpp>

#include "api/error.h"
#include "net/http_server.h"
#include "server/access_log.h"
#include "server/api_keys.h"
#include "server/metrics.h"
#include "server/model_pool.h"
#include "server/news_hub.h"
#include "server/storage.h"

namespace hachi::server {

class BatchRunner;
struct Route;

struct AppOptions {
  net::ServerOptions http;
  ModelPoolOptions models;
  std::vector<std::string> cors_origins;    // that pages may ask from; "*": any; none: only our own
  std::chrono::seconds request_timeout{0};  // for an answer; 0: none
  uint64_t max_body_bytes = 16 << 20;       // of a request
  uint64_t max_file_bytes = 512 << 20;      // of an uploaded file
  engine::Pooling pooling = engine::Pooling::kMean;  // of embeddings
  int text_threads = 2;                              // for JSON, templates and tokenizing
  std::filesystem::path data_folder;                 // of files and batches; empty: there are none
  uint64_t max_data_bytes = 10'000'000'000;          // of all files
  // What time it is for batches.
  std::function<std::chrono::system_clock::time_point()> now = &std::chrono::system_clock::now;
};

class App {
 public:
  // Listens and answers when it returns; models load when they are asked for. `load` and `offered`
  // as ModelPool's. `log` may be null, `keys` may hold no ring. A data folder that cannot be used
  // is no failure: there are no files and batches then (storage_error()).
  static Result<std::unique_ptr<App>> start(AppOptions options, std::vector<OfferedModel> offered,
                                            std::function<Result<ModelParts>(size_t)> load,
                                            std::shared_ptr<const KeyRing> keys,
                                            std::unique_ptr<AccessLog> log);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  uint16_t port() const { return http_->port(); }
  // Accepts no more, lets what runs finish for at most `grace`, tells the readers of the rest that
  // it is cut, and stops. Once.
  void stop(std::chrono::milliseconds grace);
  // Any thread, from time to time: unloads what is idle.
  void tidy() { models_.unload_idle(); }

  const AppOptions& options() const { return options_; }
  ModelPool& models() { return models_; }
  CurrentKeys& keys() { return keys_; }
  AccessLog* log() { return log_.get(); }
  ServerMetrics& metrics() { return metrics_; }
  // All of /metrics.
  std::string metrics_text();
  // The engines make progress wherever work waits.
  bool is_healthy() const;

  boost::asio::thread_pool& text_pool() { return text_pool_; }
  boost::asio::thread_pool& load_pool() { return load_pool_; }
  boost::asio::thread_pool& file_pool() { return file_pool_; }
  NewsHub& hub_of(const net::Exchange& exchange);
  // Null: no files and batches.
  Storage* storage() { return storage_.get(); }
  // Why not; empty: no folder was given, or all is well.
  const std::string& storage_error() const { return storage_error_; }
  // Of options().now, in microseconds since 1970.
  int64_t now_us() const;
  // Any thread: a batch came, is to be cancelled, or has room again.
  void wake_batches();
  // A number that only this process knows, for salts and ids.
  uint64_t secret() const { return secret_; }

 private:
  App(AppOptions options, std::vector<OfferedModel> offered,
      std::function<Result<ModelParts>(size_t)> load, std::shared_ptr<const KeyRing> keys,
      std::unique_ptr<AccessLog> log);

  void open_storage();
  net::awaitable<void> handle(net::Exchange& exchange);
  std::variant<uint64_t, net::HttpResponse> check_head(const net::HttpRequest& head);
  net::HttpResponse refuse_head(const net::HttpRequest& head, const Route* route,
                                const api::ApiError& error);

  AppOptions options_;
  uint64_t secret_;
  CurrentKeys keys_;
  std::unique_ptr<AccessLog> log_;
  ServerMetrics metrics_;
  boost::asio::thread_pool text_pool_;
  boost::asio::thread_pool load_pool_{1};
  boost::asio::thread_pool file_pool_{2};  // for what waits for the disk
  std::atomic<bool> is_ready_{false};
  std::vector<std::unique_ptr<NewsHub>> hubs_;  // one a network thread
  ModelPool models_;
  std::unique_ptr<Storage> storage_;
  std::string storage_error_;
  std::unique_ptr<BatchRunner> batches_;  // null without a storage
  std::unique_ptr<net::HttpServer> http_;
  bool is_stopped_ = false;
};

}  // namespace hachi::server
