// A model that is on this machine already: its files are copied into the store, or linked from it.
#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <optional>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <vector>

#include "cli/interrupt.h"
#include "cli/pull.h"
#include "cli/staging.h"

namespace hachi::cli {
namespace fs = std::filesystem;
namespace {

constexpr size_t kCopyBytes = 16 << 20;  // between two looks at the interrupt flag
constexpr int kMaxParts = 10'000;
constexpr size_t kMaxFiles = 10'000;

// What a Hugging Face folder holds of use: weights, configuration, tokenizer, chat template.
constexpr std::array kUsefulExtensions = {".safetensors", ".json", ".jinja", ".model", ".txt"};

// "PREFIX-00002-of-00003.gguf", as the tool that splits GGUF files names the parts.
struct SplitName {
  std::string prefix;
  int count;
};

std::optional<SplitName> split_name(const std::string& file) {
  constexpr std::string_view kShape = "-00000-of-00000.gguf";
  if (file.size() <= kShape.size()) return std::nullopt;
  const std::string tail = file.substr(file.size() - kShape.size());
  for (size_t i = 0; i < kShape.size(); ++i) {
    const bool matches = kShape[i] == '0' ? tail[i] >= '0' && tail[i] <= '9' : tail[i] == kShape[i];
    if (!matches) return std::nullopt;
  }
  int count = 0;
  std::from_chars(tail.data() + 10, tail.data() + 15, count);
  if (count < 1 || count > kMaxParts) return std::nullopt;
  return SplitName{file.substr(0, file.size() - kShape.size()), count};
}

struct Source {
  std::string name;  // as the file or folder is called
  std::vector<fs::path> files;
};

Result<Source> gguf_source(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::optional<SplitName> split = split_name(name);
  if (!split) return Source{file.stem().string(), {file}};
  Source source{split->prefix, {}};
  for (int part = 1; part <= split->count; ++part) {
    source.files.push_back(file.parent_path() / fmt::format("{}-{:05}-of-{:05}.gguf", split->prefix,
                                                            part, split->count));
    std::error_code error;
    if (!fs::is_regular_file(source.files.back(), error)) {
      return fail(Code::kNotFound, "{}: this part of the model is not there",
                  source.files.back().string());
    }
  }
  return source;
}

Result<Source> folder_source(const fs::path& folder) {
  Source source{folder.filename().string(), {}};
  bool weights = false;
  std::error_code error;
  fs::directory_iterator at(folder, error);
  while (!error && at != fs::directory_iterator() && source.files.size() < kMaxFiles) {
    const std::string extension = at->path().extension().string();
    const bool useful = std::find(kUsefulExtensions.begin(), kUsefulExtensions.end(), extension) !=
                        kUsefulExtensions.end();
    std::error_code ignored;
    if (useful && at->is_regular_file(ignored)) source.files.push_back(at->path());
    weights = weights || extension == ".safetensors";
    at.increment(error);
  }
  if (error) return fail(Code::kIo, "{}: cannot read it: {}", folder.string(), error.message());
  if (!weights) {
    return fail(Code::kUnsupported,
                "{}: a folder with a config.json but no .safetensors file, the one kind of weights "
                "that Hachi reads beside GGUF",
                folder.string());
  }
  return source;
}

Result<void> check_gguf(const fs::path& file) {
  constexpr std::string_view kMagic = "GGUF";
  std::ifstream stream(file, std::ios::binary);
  std::string magic(kMagic.size(), '\0');
  if (stream.read(magic.data(), static_cast<std::streamsize>(magic.size())) && magic == kMagic) {
    return {};
  }
  return fail(Code::kCorrupt, "{}: not a GGUF file: it does not begin with the bytes {}",
              file.string(), kMagic);
}

Result<Source> find_source(const fs::path& given) {
  std::error_code error;
  fs::path path = fs::absolute(given, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // "folder/"
  if (fs::is_directory(path, error)) {
    const std::optional<fs::path> model = model_in(path);
    if (!model) {
      return fail(Code::kNotFound, "{}: a folder with neither a config.json nor a .gguf file",
                  given.string());
    }
    return *model == path ? folder_source(path) : gguf_source(*model);
  }
  if (path.extension() != ".gguf" || !fs::is_regular_file(path, error)) {
    return fail(Code::kUnsupported, "{}: neither a .gguf file nor a model's folder",
                given.string());
  }
  return gguf_source(path);
}

class Copier {
 public:
  Copier(uint64_t total, bool quiet) : total_(total), show_(!quiet && ::isatty(2) == 1) {}
  ~Copier() {
    if (show_ && done_ > 0) fmt::print(stderr, "\r\x1b[K");
  }
  Copier(const Copier&) = delete;
  Copier& operator=(const Copier&) = delete;

  Result<void> copy(const fs::path& from, const fs::path& to) {
    const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
    if (in < 0) {
      return fail(Code::kIo, "{}: cannot open it: {}", from.string(), std::strerror(errno));
    }
    const int out = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    Result<void> done = copy_bytes(in, out, to);
    if (out >= 0) ::close(out);
    ::close(in);
    return done;
  }

 private:
  Result<void> copy_bytes(int in, int out, const fs::path& to) {
    while (out >= 0) {
      if (InterruptGuard::requested()) return fail(Code::kCancelled, "interrupted");
      const ssize_t sent = ::sendfile(out, in, nullptr, kCopyBytes);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) break;
      if (sent == 0) {
        if (::fsync(out) != 0) break;
        return {};
      }
      done_ += static_cast<uint64_t>(sent);
      if (show_ && total_ > 0) {
        fmt::print(stderr, "\rcopying {}, {} %", human_bytes(total_), done_ * 100 / total_);
      }
    }
    return fail(Code::kIo, "{}: cannot write it: {}", to.string(), std::strerror(errno));
  }

  uint64_t total_;
  uint64_t done_ = 0;
  bool show_;
};

Result<void> copy_all(const Source& source, const fs::path& to, const Staging& staging,
                      bool quiet) {
  uint64_t total = 0;
  for (const fs::path& file : source.files) {
    std::error_code error;
    const uintmax_t bytes = fs::file_size(file, error);
    if (error) return fail(Code::kIo, "{}: cannot read it: {}", file.string(), error.message());
    total += bytes;
  }
  TRY(staging.need_space(total));
  Copier copier(total, quiet);
  for (const fs::path& file : source.files) {
    TRY(copier.copy(file, to / file.filename()));
  }
  return {};
}

Result<void> link_all(const Source& source, const fs::path& to) {
  for (const fs::path& file : source.files) {
    std::error_code error;
    fs::create_symlink(file, to / file.filename(), error);
    if (error) return fail(Code::kIo, "{}: cannot link it: {}", file.string(), error.message());
  }
  return {};
}

}  // namespace

Result<void> import_model(const PullOptions& options, const ModelStore& store) {
  TRY(const Source source, find_source(options.source));
  for (const fs::path& file : source.files) {
    if (file.extension() != ".gguf") continue;
    TRY(check_gguf(file));
  }
  const std::string name = options.name.empty() ? source.name : options.name;
  if (!is_model_name(name)) {
    return fail(Code::kInvalidArgument,
                "'{}' cannot be a model's name: give it one with --name, of letters, digits, '.', "
                "'_' and '-'",
                name);
  }
  TRY(Staging staging, Staging::open(store, options.quiet));
  const fs::path place = store.folder_of(name);
  std::error_code error;
  if (fs::symlink_status(place, error).type() != fs::file_type::not_found) {
    return fail(Code::kInvalidArgument,
                "the store has a model '{}' already: choose another name with --name, or delete {}",
                name, place.string());
  }
  const fs::path made = staging.folder() / "model";
  fs::create_directory(made, error);
  if (error) return fail(Code::kIo, "{}: cannot make it: {}", made.string(), error.message());
  TRY(options.link ? link_all(source, made) : copy_all(source, made, staging, options.quiet));
  TRY(staging.commit(made, place));
  if (!options.quiet) fmt::print(stderr, "{} is ready: try `hachi chat {}`\n", name, name);
  return {};
}

}  // namespace hachi::cli
