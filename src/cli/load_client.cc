#include "cli/load_client.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/json/serialize.hpp>

#include "core/utf8.h"
#include "formats/json.h"
#include "net/sse.h"

namespace hachi::cli {
namespace {

constexpr int64_t kMaxRetries = 8;
constexpr double kMaxRetrySeconds = 60;
constexpr double kDefaultRetrySeconds = 1;
// A kept connection that breaks later than this had taken the request.
constexpr double kStaleSeconds = 1;
constexpr size_t kMaxErrorBytes = 64 << 10;

// Seconds; a date, which the header may hold too, counts as the default.
double retry_after(const net::HttpResponse& head) {
  const std::string_view text = head.headers.find("Retry-After").value_or("");
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || !(seconds >= 0)) return kDefaultRetrySeconds;
  return std::min(seconds, kMaxRetrySeconds);
}

bool asks_to_retry(int status) { return status == 429 || status == 503; }

// Some servers close a connection at the end of a stream though they said they would keep it, while
// the next request is on its way: it then goes over a new one, as other clients do.
awaitable<Result<net::HttpResponse>> begin(net::HttpClient& client,
                                           const net::ClientRequest& request) {
  const Stopwatch since;
  const int64_t connects = client.num_connects();
  net::ClientRequest copy = request;
  auto head = co_await client.begin(std::move(copy));
  const bool was_stale = !head && head.error().code == Code::kIo &&
                         client.num_connects() == connects && connects > 0 &&
                         since.seconds() < kStaleSeconds;
  if (!was_stale) co_return std::move(head);
  copy = request;
  co_return co_await client.begin(std::move(copy));
}

// The events of a stream whose head has come.
awaitable<Result<void>> read_stream(net::HttpClient& client, AnswerMeter& meter,
                                    const Stopwatch& clock) {
  net::SseParser parser;
  std::vector<net::SseEvent> events;
  for (;;) {
    auto bytes = co_await client.read();
    if (!bytes) co_return tl::unexpected<Error>(std::move(bytes).error());
    const double now = clock.seconds();
    if (bytes->empty()) co_return meter.finish(now);
    events.clear();
    auto parsed = parser.push(*bytes, events);
    if (!parsed) co_return std::move(parsed);
    for (const net::SseEvent& event : events) {
      auto taken = meter.take(event.data, now);
      if (!taken) co_return std::move(taken);
    }
  }
}

awaitable<std::string> read_failure(net::HttpClient& client, const net::HttpResponse& head) {
  std::string body;
  while (body.size() < kMaxErrorBytes) {
    const auto bytes = co_await client.read();
    if (!bytes || bytes->empty()) break;
    body += *bytes;
  }
  std::string reason = failure_of_body(body);
  if (reason.empty()) reason = net::status_text(head.status);
  co_return reason;
}

void note_failure(const Error& error, LoadAnswer& answer) {
  const bool called_off = error.code == Code::kCancelled;
  answer.end = called_off ? LoadAnswer::End::kInterrupted : LoadAnswer::End::kFailed;
  answer.failure = error.message;
}

}  // namespace

Result<LoadTarget> LoadTarget::create(const LoadRequestOptions& options) {
  LoadTarget target;
  target.options_ = options;
  TRY(target.origin_, net::parse_url(options.url));
  if (!options.extra_body.empty()) {
    TRY(target.extra_, formats::parse_json_object(options.extra_body, "--extra-body"));
  }
  target.path_ = target.origin_.target;
  while (target.path_.ends_with('/')) target.path_.pop_back();
  if (target.path_.empty()) target.path_ = "/v1";
  target.set_common_body();
  return target;
}

void LoadTarget::set_common_body() {
  boost::json::object body = {{"model", options_.model},
                              {"max_tokens", options_.max_tokens},
                              {"temperature", options_.temperature},
                              {"stream", true},
                              {"stream_options", {{"include_usage", true}}}};
  if (options_.ignore_eos) body["ignore_eos"] = true;
  for (const auto& [key, value] : extra_) body[key] = value;
  common_body_ = boost::json::serialize(body);
  common_body_.pop_back();
}

std::string LoadTarget::endpoint_url() const {
  const bool chat = options_.endpoint == LoadEndpoint::kChat;
  return fmt::format("{}://{}{}{}", origin_.tls ? "https" : "http", origin_.authority(), path_,
                     chat ? "/chat/completions" : "/completions");
}

net::Headers LoadTarget::headers() const {
  net::Headers headers;
  headers.add("Content-Type", "application/json");
  headers.add("Accept", "text/event-stream");
  if (!options_.api_key.empty()) headers.add("Authorization", "Bearer " + options_.api_key);
  return headers;
}

net::ClientRequest LoadTarget::request(const LoadPrompt& prompt) const {
  const bool chat = options_.endpoint == LoadEndpoint::kChat;
  net::ClientRequest request;
  request.method = "POST";
  request.target = path_ + (chat ? "/chat/completions" : "/completions");
  request.headers = headers();
  request.body = common_body_;
  if (!chat) {
    request.body += ",\"prompt\":" + boost::json::serialize(boost::json::string(prompt.text));
  } else if (!prompt.messages.empty()) {
    request.body += ",\"messages\":" + prompt.messages;
  } else {
    request.body += R"(,"messages":[{"role":"user","content":)" +
                    boost::json::serialize(boost::json::string(prompt.text)) + "}]";
  }
  request.body += '}';
  return request;
}

Result<void> LoadTarget::choose_model() {
  if (!options_.model.empty()) return {};
  boost::asio::io_context context;
  TRY(net::HttpClient client, connect(context.get_executor()));
  net::ClientRequest request;
  request.target = path_ + "/models";
  request.headers = headers();
  Result<net::HttpResponse> response = fail(Code::kInternal, "no answer");
  boost::asio::co_spawn(
      context,
      [&]() -> awaitable<void> {
        response = co_await client.send(std::move(request));
        client.close();
      },
      [](const std::exception_ptr& thrown) {
        if (thrown) std::rethrow_exception(thrown);
      });
  context.run();
  TRY(const net::HttpResponse answer, std::move(response));
  const std::string where = fmt::format("{}{}/models", origin_.authority(), path_);
  if (answer.status != 200) {
    return fail(Code::kIo, "{} answered {} {}: check --url and --api-key, or name the --model",
                where, answer.status, failure_of_body(answer.body));
  }
  const auto body = formats::parse_json_object(answer.body, where);
  const auto* list = body ? body->if_contains("data") : nullptr;
  if (list != nullptr && list->is_array() && !list->get_array().empty()) {
    const auto& first = list->get_array().front();
    const auto* id = first.is_object() ? first.get_object().if_contains("id") : nullptr;
    if (id != nullptr && id->is_string()) options_.model = id->get_string();
  }
  if (options_.model.empty()) {
    return fail(Code::kCorrupt, "{} lists no model: check --url, or name the --model", where);
  }
  set_common_body();
  return {};
}

awaitable<void> ask(net::HttpClient& client, const LoadTarget& target, LoadPrompt prompt,
                    const Stopwatch& clock, const LoadSleep& sleep, LoadAnswer& answer) {
  const net::ClientRequest request = target.request(prompt);
  answer.sent = clock.seconds();
  for (;;) {
    const auto head = co_await begin(client, request);
    if (!head) {
      note_failure(head.error(), answer);
      co_return;
    }
    answer.status = head->status;
    if (head->status == 200) break;
    std::string reason = co_await read_failure(client, *head);
    const bool again =
        target.options().retry && asks_to_retry(head->status) && answer.retries < kMaxRetries;
    if (!again) {
      answer.failure = std::move(reason);
      co_return;
    }
    ++answer.retries;
    const bool slept = co_await sleep(retry_after(*head));
    if (!slept) {
      answer.end = LoadAnswer::End::kInterrupted;
      co_return;
    }
  }
  AnswerMeter meter(target.options().endpoint, answer);
  const auto read = co_await read_stream(client, meter, clock);
  if (read) {
    answer.end = LoadAnswer::End::kCompleted;
  } else {
    note_failure(read.error(), answer);
  }
}

}  // namespace hachi::cli
