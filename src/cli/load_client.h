// Requests to an OpenAI-compatible server, each answered by a stream.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>

#include "cli/load_answer.h"
#include "cli/load_prompts.h"
#include "core/clock.h"
#include "core/result.h"
#include "net/http_client.h"

namespace hachi::cli {

using boost::asio::awaitable;

struct LoadRequestOptions {
  std::string url = "http://127.0.0.1:8080/v1";
  std::string model;
  std::string api_key;
  LoadEndpoint endpoint = LoadEndpoint::kChat;
  int64_t max_tokens = 128;
  double temperature = 0;
  bool ignore_eos = false;  // asks servers that know it for exactly max_tokens
  std::string extra_body;   // a JSON object whose members each request has too
  bool retry = false;       // after 429 and 503, when Retry-After says
  net::ClientOptions http;
};

// The server and what all requests to it have in common.
class LoadTarget {
 public:
  static Result<LoadTarget> create(const LoadRequestOptions& options);

  // The model that the server names first, if `options` name none.
  Result<void> choose_model();

  Result<net::HttpClient> connect(const boost::asio::any_io_executor& executor) const {
    return net::HttpClient::create(executor, origin_, options_.http);
  }

  net::ClientRequest request(const LoadPrompt& prompt) const;

  const LoadRequestOptions& options() const { return options_; }
  // Where the requests go, for messages.
  std::string endpoint_url() const;

 private:
  void set_common_body();
  net::Headers headers() const;

  LoadRequestOptions options_;
  net::Url origin_;
  std::string path_;  // before "/models" and the like
  boost::json::object extra_;
  std::string common_body_;  // a JSON object without its last brace; extra_'s members win
};

// Waits for so many seconds; false: it was called off.
using LoadSleep = std::function<awaitable<bool>(double)>;

// Sends one request and fills in `answer` to its end, whatever that is.
awaitable<void> ask(net::HttpClient& client, const LoadTarget& target, LoadPrompt prompt,
                    const Stopwatch& clock, const LoadSleep& sleep, LoadAnswer& answer);

}  // namespace hachi::cli
