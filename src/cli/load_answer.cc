#include "cli/load_answer.h"

#include <array>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/value.hpp>

#include "cli/terminal.h"
#include "formats/json.h"

namespace hachi::cli {
namespace {

namespace json = boost::json;

constexpr size_t kMaxFailureBytes = 200;
constexpr size_t kEventBytes = 16 << 10;  // of values that need no memory from the heap

std::string shortened(std::string_view text) {
  const bool cut = text.size() > kMaxFailureBytes;
  std::string line = printable(text.substr(0, kMaxFailureBytes));
  for (char& c : line) c = c == '\n' || c == '\t' ? ' ' : c;
  return cut ? line + "..." : line;
}

// The value of an object's member; null if it has none, is null or no object.
const json::value* member(const json::value* value, std::string_view key) {
  if (value == nullptr || !value->is_object()) return nullptr;
  const json::value* found = value->get_object().if_contains(key);
  return found == nullptr || found->is_null() ? nullptr : found;
}

bool has_text(const json::value* value) {
  return value != nullptr && value->is_string() && !value->get_string().empty();
}

int64_t count_of(const json::value* value) {
  return value != nullptr && value->is_int64() ? value->get_int64() : -1;
}

// Thoughts have no place in OpenAI's shape; servers name them in two ways.
bool carries_text(const json::value& choice, LoadEndpoint endpoint) {
  if (endpoint == LoadEndpoint::kCompletions) return has_text(member(&choice, "text"));
  const json::value* delta = member(&choice, "delta");
  return has_text(member(delta, "content")) || has_text(member(delta, "reasoning_content")) ||
         has_text(member(delta, "reasoning")) || member(delta, "tool_calls") != nullptr;
}

}  // namespace

double LoadAnswer::time_per_token() const {
  return tokens() > 1 ? (last - first) / static_cast<double>(tokens() - 1) : 0;
}

void AnswerMeter::note_text(double now) {
  if (answer_->chunks == 0) {
    answer_->first = now;
  } else {
    answer_->gaps.push_back(static_cast<float>(now - answer_->last));
  }
  answer_->last = now;
  ++answer_->chunks;
}

Result<void> AnswerMeter::take(std::string_view data, double now) {
  if (data == "[DONE]") {
    done_ = true;
    return {};
  }
  std::array<unsigned char, kEventBytes> memory;
  json::monotonic_resource resource(memory.data(), memory.size());
  const auto event = formats::parse_json(data, "event", &resource);
  if (!event) {
    return fail(Code::kCorrupt, "the stream has an event that is not JSON: {}", shortened(data));
  }
  if (member(&*event, "error") != nullptr) {
    return fail(Code::kIo, "an error in the stream: {}", failure_of_body(data));
  }
  const json::value* choices = member(&*event, "choices");
  const json::value* usage = member(&*event, "usage");
  if ((choices == nullptr || !choices->is_array()) && usage == nullptr) {
    return fail(Code::kCorrupt, "the stream has an event that this endpoint does not send: {}",
                shortened(data));
  }
  if (choices != nullptr && choices->is_array()) {
    for (const json::value& choice : choices->get_array()) {
      if (carries_text(choice, endpoint_)) note_text(now);
      if (member(&choice, "finish_reason") != nullptr) finished_ = true;
    }
  }
  if (usage != nullptr) {
    answer_->prompt_tokens = count_of(member(usage, "prompt_tokens"));
    answer_->output_tokens = count_of(member(usage, "completion_tokens"));
    answer_->cached_tokens =
        count_of(member(member(usage, "prompt_tokens_details"), "cached_tokens"));
  }
  return {};
}

Result<void> AnswerMeter::finish(double now) {
  if (!done_ && !finished_) {
    return fail(Code::kIo, "the stream ended after {} pieces, before the answer did",
                answer_->chunks);
  }
  answer_->ended = now;
  if (answer_->chunks == 0) {  // an answer of no text: its end is all that came
    answer_->first = now;
    answer_->last = now;
  }
  return {};
}

std::string failure_of_body(std::string_view body) {
  const auto parsed = formats::parse_json(body, "body");
  if (parsed) {
    const json::value* error = member(&*parsed, "error");
    for (const json::value* text : {member(error, "message"), error, member(&*parsed, "message"),
                                    member(&*parsed, "detail")}) {
      if (has_text(text)) return shortened(text->get_string());
    }
  }
  return body.starts_with('<') ? std::string() : shortened(body);  // a page says less than a status
}

}  // namespace hachi::cli
