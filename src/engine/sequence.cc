#include "engine/sequence.h"

#include <algorithm>
#include <utility>

namespace hachi::engine {
namespace {

int64_t most_tokens(const Request& request, int64_t context) {
  if (request.max_tokens < 0) return context;
  return std::min(context, static_cast<int64_t>(request.prompt.size()) + request.max_tokens);
}

}  // namespace

Sequence::Sequence(Request asked, std::shared_ptr<Stream> out, PagePool& pool, int64_t page_tokens,
                   int64_t context, int64_t number)
    : request(std::move(asked)),
      stream(std::move(out)),
      max_tokens(most_tokens(request, context)),
      arrival(number),
      sampler(request.sampling, max_tokens),
      pages(pool, (max_tokens + page_tokens - 1) / page_tokens + 1) {
  tokens.reserve(static_cast<size_t>(max_tokens));
  tokens.assign(request.prompt.begin(), request.prompt.end());
  num_known = static_cast<int64_t>(tokens.size());
  sampler.observe_prompt(request.prompt);
  usage.prompt_tokens = num_known;
}

}  // namespace hachi::engine
