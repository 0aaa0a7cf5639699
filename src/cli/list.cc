#include "cli/list.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "cli/known_models.h"
#include "cli/store.h"
#include "core/utf8.h"

namespace hachi::cli {
namespace {

std::string as_json(const ModelStore& store, const std::vector<StoredModel>& models) {
  boost::json::array list;
  for (const StoredModel& model : models) {
    list.push_back(boost::json::object{{"name", model.name},
                                       {"kind", model.kind},
                                       {"bytes", model.bytes},
                                       {"linked", model.linked},
                                       {"path", replace_invalid_utf8(model.path.string())}});
  }
  const boost::json::object all{{"store", replace_invalid_utf8(store.root().string())},
                                {"models", std::move(list)}};
  return boost::json::serialize(all) + "\n";
}

std::string as_table(const ModelStore& store, const std::vector<StoredModel>& models) {
  std::string text;
  size_t width = 4;
  for (const StoredModel& model : models) width = std::max(width, model.name.size());
  if (!models.empty()) text += fmt::format("{:{}}  {:>9}  {}\n", "NAME", width, "SIZE", "KIND");
  for (const StoredModel& model : models) {
    text += fmt::format("{:{}}  {:>9}  {}{}\n", model.name, width, human_bytes(model.bytes),
                        model.kind, model.linked ? ", linked" : "");
  }
  if (models.empty()) text += fmt::format("no model in {} yet\n", store.root().string());
  for (const KnownModel& known : known_models()) {
    const bool here = std::any_of(models.begin(), models.end(), [&](const StoredModel& model) {
      return model.name == known.name;
    });
    if (here) continue;
    text += fmt::format("`hachi pull {}` gets {} ({})\n", known.name, known.description,
                        human_bytes(known.bytes));
  }
  return text;
}

}  // namespace

Result<int> run_list(const ListOptions& options) {
  TRY(const ModelStore store, ModelStore::open());
  TRY(const std::vector<StoredModel> models, store.list());
  std::string text;
  if (options.json) {
    text = as_json(store, models);
  } else if (options.quiet) {
    for (const StoredModel& model : models) text += model.name + "\n";
  } else {
    text = as_table(store, models);
  }
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    return fail(Code::kIo, "cannot write to standard output: {}", std::strerror(errno));
  }
  return 0;
}

}  // namespace hachi::cli
