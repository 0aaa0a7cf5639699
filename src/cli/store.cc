#include "cli/store.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "cli/known_models.h"

namespace hachi::cli {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxNameLength = 100;
constexpr size_t kMaxModels = 10'000;
constexpr size_t kMaxFilesPerModel = 10'000;

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

// The entries of a folder, sorted; as many as there are up to `limit`, none if it cannot be read.
std::vector<fs::path> entries_of(const fs::path& folder, size_t limit) {
  std::vector<fs::path> entries;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  while (!error && at != fs::directory_iterator() && entries.size() < limit) {
    entries.push_back(at->path());
    at.increment(error);
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

StoredModel describe(const fs::path& folder) {
  StoredModel model{.name = folder.filename().string(), .path = {}, .kind = "broken"};
  std::error_code error;
  model.linked = fs::is_symlink(folder, error);
  for (const fs::path& file : entries_of(folder, kMaxFilesPerModel)) {
    model.linked = model.linked || fs::is_symlink(file, error);
    const uintmax_t bytes = is_file(file) ? fs::file_size(file, error) : 0;
    if (bytes != static_cast<uintmax_t>(-1)) model.bytes += bytes;
  }
  if (const std::optional<fs::path> path = model_in(folder)) {
    model.kind = *path == folder ? "huggingface" : "gguf";
    model.path = *path;
  }
  return model;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({changed, row[j] + 1, row[j - 1] + 1}));
    }
  }
  return row[b.size()];
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

}  // namespace

Result<ModelStore> ModelStore::open() {
  if (const auto home = environment("HACHI_HOME")) return ModelStore(fs::path(*home));
  if (const auto home = environment("HOME")) return ModelStore(fs::path(*home) / ".cache/hachi");
  return fail(Code::kNotFound,
              "neither HACHI_HOME nor HOME is set: set HACHI_HOME to the folder for the models");
}

fs::path ModelStore::folder_of(std::string_view name) const { return root_ / "models" / name; }

Result<fs::path> ModelStore::resolve(std::string_view model) const {
  const fs::path given(model);
  if (is_file(given)) return given;
  if (is_folder(given)) {
    if (const auto found = model_in(given)) return *found;
  }
  if (is_model_name(model)) {
    const fs::path folder = folder_of(model);
    if (const auto found = model_in(folder)) return *found;
    std::error_code error;
    if (fs::is_symlink(folder, error) || is_folder(folder)) {
      return fail(Code::kNotFound, "{}: the store has this model, but its files are not there ({})",
                  model, folder.string());
    }
    if (find_known_model(model) != nullptr) {
      return fail(Code::kNotFound, "{} is not on this machine yet: `hachi pull {}` gets it", model,
                  model);
    }
  }
  if (is_folder(given)) {
    return fail(Code::kNotFound, "{}: a folder with neither a config.json nor a .gguf file", model);
  }
  std::vector<std::string> names;
  for (const KnownModel& known : known_models()) names.emplace_back(known.name);
  if (const auto stored = list()) {
    for (const StoredModel& here : *stored) {
      if (find_known_model(here.name) == nullptr) names.push_back(here.name);
    }
  }
  return fail(Code::kNotFound,
              "{}: neither a file nor a model in the store{}; `hachi list` shows what is there, "
              "`hachi pull NAME` gets a model",
              model, did_you_mean(model, names));
}

Result<std::vector<StoredModel>> ModelStore::list() const {
  const fs::path models = root_ / "models";
  std::vector<StoredModel> found;
  std::error_code error;
  if (!fs::exists(models, error)) {
    if (!error) return found;
    return fail(Code::kIo, "{}: cannot read it: {}", models.string(), error.message());
  }
  fs::directory_iterator readable(models, error);
  if (error) return fail(Code::kIo, "{}: cannot read it: {}", models.string(), error.message());
  for (const fs::path& entry : entries_of(models, kMaxModels)) {
    const bool model = is_folder(entry) || fs::is_symlink(entry, error);
    if (model && is_model_name(entry.filename().string())) found.push_back(describe(entry));
  }
  return found;
}

bool is_model_name(std::string_view name) {
  const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  const auto is_allowed = [&](char c) { return is_plain(c) || c == '.' || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= kMaxNameLength && is_plain(name.front()) &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

std::optional<fs::path> model_in(const fs::path& folder) {
  if (is_file(folder / "config.json")) return folder;
  for (const fs::path& file : entries_of(folder, kMaxFilesPerModel)) {
    if (file.extension() == ".gguf" && is_file(file)) return file;
  }
  return std::nullopt;
}

std::string did_you_mean(std::string_view given, std::span<const std::string> names) {
  constexpr size_t kMaxSlips = 2;
  constexpr size_t kMaxNames = 3;
  const std::string wanted = lower(given.substr(0, kMaxNameLength));
  std::string text;
  size_t count = 0;
  for (const std::string& name : names) {
    const std::string candidate = lower(name);
    const bool begins = !wanted.empty() && candidate.compare(0, wanted.size(), wanted) == 0;
    if (!begins && edit_distance(wanted, candidate) > kMaxSlips) continue;
    if (++count > kMaxNames) break;
    text += fmt::format("{}'{}'", text.empty() ? " (did you mean " : " or ", name);
  }
  return text.empty() ? text : text + "?)";
}

std::string human_bytes(uint64_t bytes) {
  constexpr std::array kUnits = {"KB", "MB", "GB", "TB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace hachi::cli
