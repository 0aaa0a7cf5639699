// One streamed answer, as `hachi bench serve` counts it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace hachi::cli {

enum class LoadEndpoint { kChat, kCompletions };

// Times are seconds since the load began.
struct LoadAnswer {
  enum class End { kCompleted, kFailed, kInterrupted };
  End end = End::kFailed;
  int status = 0;       // of HTTP; 0: no answer came
  std::string failure;  // why it failed; one sentence
  int64_t retries = 0;  // after answers that asked for it

  double sent = 0;
  double first = 0;            // when the first text came
  double last = 0;             // when the last text came
  double ended = 0;            // when the stream ended
  std::vector<float> gaps;     // seconds between one text and the next
  int64_t chunks = 0;          // events with text
  int64_t prompt_tokens = -1;  // by the server's usage; -1: it sent none
  int64_t cached_tokens = -1;
  int64_t output_tokens = -1;

  // By the usage, else by the chunks.
  int64_t tokens() const { return output_tokens >= 0 ? output_tokens : chunks; }
  double time_to_first_token() const { return first - sent; }
  double end_to_end() const { return ended - sent; }
  // Seconds per token after the first; 0 for fewer than two.
  double time_per_token() const;
};

// Takes the events of an answer's stream and fills in a LoadAnswer.
class AnswerMeter {
 public:
  AnswerMeter(LoadEndpoint endpoint, LoadAnswer& answer) : endpoint_(endpoint), answer_(&answer) {}

  // The data of one event, which came at `now`. Fails if it is not what the endpoint streams, or
  // is an error that the server reports.
  Result<void> take(std::string_view data, double now);

  // At the end of the stream. Fails if the server broke off.
  Result<void> finish(double now);

 private:
  void note_text(double now);

  LoadEndpoint endpoint_;
  LoadAnswer* answer_;
  bool done_ = false;      // [DONE] came
  bool finished_ = false;  // a reason to finish came
};

// The message of a body that says why a request failed, in OpenAI's shape or another's; short and
// printable, empty for HTML.
std::string failure_of_body(std::string_view body);

}  // namespace hachi::cli
