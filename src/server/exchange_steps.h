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

// The body of a request as what an endpoint takes.
template <class T>
net::awaitable<api::ApiResult<T>> parse_body(Visit& visit,
                                             api::ApiResult<T> (*parse)(std::string_view body)) {
  const std::string& body = visit.exchange().request().body;
  if (body.size() < kShortBody) co_return parse(body);
  std::optional<api::ApiResult<T>> parsed;
  auto work = [&] { parsed.emplace(parse(body)); };
  co_await run_on(visit.app().text_pool(), visit.exchange().executor(), work);
  co_return *std::move(parsed);
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
    for (size_t i = 0; i < answers.generations.size(); ++i) {
      if (has_ended[i]) continue;
      has_ended[i] = answers.generations[i].is_done();
      append_news(out, i);
    }
    const bool is_silent = out.empty() && Visit::Clock::now() - last_write >= kSilence;
    if (goes_on && is_silent) out = kStillAlive;
  }
  if (!answers.is_done()) co_return;  // the client has gone
  if (answers.were_cut()) {
    append_error(out, stopping_error());
  } else {
    append_end(out);
  }
  if (co_await visit.exchange().write(out)) co_await visit.exchange().end_stream();
}

}  // namespace hachi::server
