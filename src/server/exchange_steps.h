// The steps that the routes share: a body parsed, a stream of events written.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/error.h"
#include "server/answers.h"
#include "server/off_thread.h"
#include "server/visit.h"

namespace hachi::server {

// The body of a request as what an endpoint takes. `body` outlives the call.
template <class T>
net::awaitable<api::ApiResult<T>> parse_body(Caller& caller, std::string_view body,
                                             api::ApiResult<T> (*parse)(std::string_view body)) {
  if (body.size() < kShortBody) co_return parse(body);
  std::optional<api::ApiResult<T>> parsed;
  auto work = [&] { parsed.emplace(parse(body)); };
  co_await run_on(caller.app().text_pool(), caller.executor(), work);
  co_return *std::move(parsed);
}

template <class Request>
bool wants_stream(const Request& request) {
  if constexpr (requires { request.stream.stream; }) {
    return request.stream.stream;
  } else {
    return request.stream;
  }
}

// Notes whether a stream is asked for; an error if it is and cannot be.
inline std::optional<api::ApiError> note_stream(Caller& caller, bool stream) {
  caller.notes().stream = stream;
  if (!stream || caller.takes_streams()) return std::nullopt;
  return api::invalid_field("stream", "stream must be false in a batch");
}

// A request whose answers are on their way.
template <class Request>
struct Begun {
  Request request;
  api::ResponseHead head;
  Answers answers;
};

// Parses `body` and begins what ask_for() makes of it. `id_prefix` begins the id of the answer.
template <class Request, class AskFor>
net::awaitable<api::ApiResult<Begun<Request>>> begin_request(
    Caller& caller, std::string_view body, api::ApiResult<Request> (*parse)(std::string_view),
    AskFor ask_for, std::string_view id_prefix) {
  auto request = co_await parse_body(caller, body, parse);
  if (!request) co_return tl::unexpected(std::move(request).error());
  if (auto refused = note_stream(caller, wants_stream(*request))) {
    co_return tl::unexpected(*std::move(refused));
  }
  AnswerAsk ask = ask_for(*request);
  auto answers = co_await begin_answers(caller, std::move(ask));
  if (!answers) co_return tl::unexpected(std::move(answers).error());
  Begun<Request> begun{*std::move(request), {}, *std::move(answers)};
  begun.head = {std::string(id_prefix) + caller.id(), caller.created(), begun.answers.model->name};
  co_return begun;
}

// Writes answers as they come. `out` are the first events; append_news(out, i) adds what has come
// of answer i, also once after its end; append_end(out) closes a stream of which all answers are
// done; append_error(out, error) one that the server has to break off.
template <class AppendNews, class AppendEnd>
net::awaitable<void> stream_events(Visit& visit, Answers& answers, std::string out,
                                   AppendNews& append_news, AppendEnd& append_end,
                                   void (*append_error)(std::string&, const api::ApiError&)) {
  // A comment, which readers skip and proxies count as life.
  constexpr std::string_view kStillAlive = ": still at work\n\n";
  AnswerReader reader(visit, answers);  // counts the answers also if nobody is there any more
  if (!co_await visit.begin_events()) co_return;
  std::vector<bool> has_ended(answers.generations.size());
  auto last_write = Visit::Clock::now();
  bool goes_on = true;
  while (goes_on) {
    if (!out.empty()) {
      if (!co_await visit.exchange().write(out)) co_return;
      out.clear();
      last_write = Visit::Clock::now();
    }
    goes_on = co_await reader.next();
    if (answers.were_cut()) break;  // it has no end of its own
    for (size_t i = 0; i < answers.generations.size(); ++i) {
      if (has_ended[i]) continue;
      has_ended[i] = answers.generations[i].is_done();
      append_news(out, i);
    }
    const bool is_silent = out.empty() && Visit::Clock::now() - last_write >= kSilence;
    if (goes_on && is_silent) out = kStillAlive;
  }
  if (answers.were_cut()) {
    append_error(out, stopping_error());
  } else if (!answers.is_done()) {
    co_return;  // the client has gone
  } else {
    append_end(out);
  }
  if (co_await visit.exchange().write(out)) co_await visit.exchange().end_stream();
}

}  // namespace hachi::server
