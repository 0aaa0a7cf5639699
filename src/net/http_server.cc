#include "net/http_server.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/check.h"
#include "net/connection.h"

namespace hachi::net {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr int kMaxThreads = 256;
// Clients that are being told that there are too many; one more is cut without a word.
constexpr int64_t kMaxTurnedAway = 64;
// After an accept that failed for want of descriptors or memory: until then some may have closed.
constexpr auto kAcceptPause = 50ms;
constexpr auto kTimeAfterCut = 2s;

}  // namespace

struct HttpServer::Impl {
  // One thread, its context and the connections that live on it; these are touched there alone.
  struct Worker {
    std::unordered_set<Connection*> connections;
    bool draining = false;
    std::atomic<int64_t> num_connections = 0;
    asio::io_context context{1};  // after what its coroutines use: it destroys those that wait
    std::thread thread;
  };

  // A connection among those of its worker, as long as this lives.
  struct Registration {
    Registration(Worker& of, Connection& who) : worker(of), connection(who) {
      worker.connections.insert(&connection);
    }
    ~Registration() { worker.connections.erase(&connection); }
    Worker& worker;
    Connection& connection;
  };

  explicit Impl(std::shared_ptr<const ConnectionSettings> shared) : settings(std::move(shared)) {}

  Result<void> listen();
  Result<void> load_tls();
  void run();
  awaitable<void> accept_loop();
  void hand_over(Worker& worker, tcp::socket socket, std::string peer);
  awaitable<void> live(Worker& worker, Stream::Socket socket, std::string peer);
  Worker& least_loaded();
  void drain(std::chrono::milliseconds grace);
  bool wait_until_empty(std::chrono::milliseconds time);
  void connection_ended(Worker& worker);
  bool admit();

  std::shared_ptr<const ConnectionSettings> settings;
  std::optional<TlsContext> tls;
  uint16_t port = 0;
  std::atomic<int64_t> num_connections = 0;
  std::atomic<int64_t> num_admitted = 0;  // those that are not being turned away
  std::mutex drain_mutex;                 // one drain at a time
  bool drained = false;                   // guarded by drain_mutex
  std::mutex empty_mutex;                 // for empty alone
  std::condition_variable empty;          // num_connections is 0
  std::vector<std::unique_ptr<Worker>> workers;
  std::optional<tcp::acceptor> acceptor;  // on the first worker's thread, before its context goes
};

Result<void> HttpServer::Impl::load_tls() {
  const ServerOptions& options = settings->options;
  if (options.tls_certificate.empty() && options.tls_key.empty()) return {};
  if (options.tls_certificate.empty() || options.tls_key.empty()) {
    return fail(Code::kInvalidArgument, "TLS needs both a certificate and a key");
  }
  TRY(tls, TlsContext::server(options.tls_certificate, options.tls_key));
  return {};
}

Result<void> HttpServer::Impl::listen() {
  const ServerOptions& options = settings->options;
  error_code error;
  tcp::resolver resolver(workers[0]->context);
  const auto found =
      resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    return fail(Code::kInvalidArgument, "{}: not an address or a name to listen on: {}",
                options.host, error.message());
  }
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.emplace(workers[0]->context);
  acceptor->open(endpoint.protocol(), error);
  if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor->bind(endpoint, error);
  if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error == asio::error::address_in_use) {
    return fail(Code::kIo, "port {} of {} is taken by another program: choose another with --port",
                options.port, options.host);
  }
  if (error) {
    return fail(Code::kIo, "cannot listen on port {} of {}: {}", options.port, options.host,
                error.message());
  }
  port = acceptor->local_endpoint(error).port();
  return {};
}

void HttpServer::Impl::run() {
  asio::co_spawn(workers[0]->context, accept_loop(), asio::detached);
  for (const auto& worker : workers) {
    worker->thread = std::thread([&context = worker->context] {
      const auto guard = asio::make_work_guard(context);
      while (!context.stopped()) {
        try {
          context.run();
        } catch (...) {
          // From something that was posted to context(): the connections go on.
        }
      }
    });
  }
}

awaitable<void> HttpServer::Impl::accept_loop() {
  asio::steady_timer pause(workers[0]->context);
  while (acceptor->is_open()) {
    error_code error;
    tcp::endpoint peer;
    Worker& worker = least_loaded();
    tcp::socket socket(worker.context);
    co_await acceptor->async_accept(socket, peer, asio::redirect_error(asio::use_awaitable, error));
    if (!error) {
      hand_over(worker, std::move(socket), peer.address().to_string());
    } else if (error == asio::error::no_descriptors || error == asio::error::no_memory ||
               error == asio::error::no_buffer_space ||
               error == boost::system::errc::too_many_files_open_in_system) {
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
    }
  }
}

HttpServer::Impl::Worker& HttpServer::Impl::least_loaded() {
  Worker* least = workers.front().get();
  for (const auto& worker : workers) {
    if (worker->num_connections < least->num_connections) least = worker.get();
  }
  return *least;
}

// From the accepting thread to the worker's, whose context the socket is on.
void HttpServer::Impl::hand_over(Worker& worker, tcp::socket socket, std::string peer) {
  if (num_connections >= settings->options.max_connections + kMaxTurnedAway) return;
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  ++num_connections;
  ++worker.num_connections;
  const auto executor = worker.context.get_executor();
  asio::co_spawn(executor, live(worker, std::move(socket), std::move(peer)), asio::detached);
}

awaitable<void> HttpServer::Impl::live(Worker& worker, Stream::Socket socket, std::string peer) {
  try {
    Result<TlsSession> session = TlsSession();
    if (tls) session = tls->accept();
    if (session && !worker.draining) {
      auto stream = Stream::create(std::move(socket), *std::move(session));
      const auto connection =
          std::make_shared<Connection>(std::move(stream), settings, std::move(peer));
      const Registration registration(worker, *connection);
      if (admit()) {
        co_await connection->run();
        --num_admitted;
      } else {
        co_await connection->turn_away();
      }
    }
  } catch (...) {
    // Out of memory: the connection ends.
  }
  connection_ended(worker);
}

bool HttpServer::Impl::admit() {
  if (++num_admitted <= settings->options.max_connections) return true;
  --num_admitted;
  return false;
}

void HttpServer::Impl::connection_ended(Worker& worker) {
  --worker.num_connections;
  if (--num_connections > 0) return;
  const std::lock_guard lock(empty_mutex);
  empty.notify_all();
}

bool HttpServer::Impl::wait_until_empty(std::chrono::milliseconds time) {
  std::unique_lock lock(empty_mutex);
  return empty.wait_for(lock, time, [this] { return num_connections == 0; });
}

void HttpServer::Impl::drain(std::chrono::milliseconds grace) {
  const std::lock_guard lock(drain_mutex);
  if (std::exchange(drained, true)) return;
  asio::post(workers[0]->context, [this] {
    error_code ignored;
    acceptor->close(ignored);
  });
  // Closing a connection may end it at once, which changes the set: a copy is walked.
  const auto each = [this](void (Connection::*what)()) {
    for (const auto& worker : workers) {
      asio::post(worker->context, [&worker = *worker, what] {
        worker.draining = true;
        const auto connections = worker.connections;
        for (Connection* connection : connections) {
          if (worker.connections.contains(connection)) (connection->*what)();
        }
      });
    }
  };
  each(&Connection::drain);
  if (!wait_until_empty(grace)) {
    each(&Connection::cut);
    wait_until_empty(kTimeAfterCut);
  }
  for (const auto& worker : workers) worker->context.stop();
  for (const auto& worker : workers) worker->thread.join();
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(ServerOptions options, Handler handler,
                                                      HeadCheck head_check) {
  CHECK(handler && head_check);
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return fail(Code::kInvalidArgument, "a server has from 1 to {} threads, got {}", kMaxThreads,
                options.threads);
  }
  try {
    auto settings = std::make_shared<const ConnectionSettings>(
        ConnectionSettings{std::move(options), std::move(handler), std::move(head_check)});
    auto impl = std::make_unique<Impl>(settings);
    for (int i = 0; i < settings->options.threads; ++i) {
      impl->workers.push_back(std::make_unique<Impl::Worker>());
    }
    TRY(impl->load_tls());
    TRY(impl->listen());
    impl->run();
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
  } catch (const std::exception& error) {
    return fail(Code::kIo, "the server cannot start: {}", error.what());
  }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { drain(std::chrono::milliseconds(0)); }

uint16_t HttpServer::port() const { return impl_->port; }

int HttpServer::num_threads() const { return static_cast<int>(impl_->workers.size()); }

asio::io_context& HttpServer::context(int thread) {
  return impl_->workers.at(static_cast<size_t>(thread))->context;
}

int64_t HttpServer::num_connections() const { return impl_->num_connections; }

void HttpServer::drain(std::chrono::milliseconds grace) { impl_->drain(grace); }

}  // namespace hachi::net
