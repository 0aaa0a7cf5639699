#include "engine/sequence.h"

#include <algorithm>
#include <utility>

namespace hachi::engine {
namespace {

int64_t most_tokens(const Request& request, int64_t context) {
  if (request.max_tokens < 0) return context;
  return std::min(context, static_cast<int64_t>(request.prompt.size()) + request.max_tokens);
}

int64_t pages_of(int64_t tokens, const SequenceLimits& limits) {
  return (tokens + limits.page_tokens - 1) / limits.page_tokens;
}

}  // namespace

Sequence::Sequence(Request asked, std::unique_ptr<Constraint> under, const SequenceLimits& limits,
                   PagePool& pool, PagePool& host, int64_t number)
    : request(std::move(asked)),
      max_tokens(most_tokens(request, limits.context)),
      arrival(number),
      stream(std::make_shared<Stream>(limits.stream_events + limits.guess_tokens + 1,
                                      request.top_logprobs)),
      sampler(request.sampling, max_tokens),
      constraint(std::move(under)),
      pages(pool, pages_of(max_tokens, limits)),
      saved(host, std::min(pages_of(max_tokens, limits), host.num_pages())) {
  tokens.reserve(static_cast<size_t>(max_tokens));
  tokens.assign(request.prompt.begin(), request.prompt.end());
  num_known = static_cast<int64_t>(tokens.size());
  sampler.observe_prompt(request.prompt);
  usage.prompt_tokens = num_known;
  if (request.pooling != Pooling::kNone) pooled.resize(static_cast<size_t>(limits.hidden_size));
}

}  // namespace hachi::engine
