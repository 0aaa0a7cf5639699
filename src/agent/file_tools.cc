#include "agent/file_tools.h"

#include <algorithm>
#include <dirent.h>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include "core/utf8.h"
#include "formats/printable.h"

namespace hachi::agent {
namespace {

namespace json = boost::json;

struct LineRange {
  std::string_view text;
  int64_t first;  // its number
  int64_t count;
};

int64_t count_lines(std::string_view text) {
  const auto breaks = std::count(text.begin(), text.end(), '\n');
  return breaks + (text.empty() || text.back() == '\n' ? 0 : 1);
}

// The bytes of a line at the start of `text`, with its end.
size_t line_bytes(std::string_view text) {
  const size_t end = text.find('\n');
  return end == text.npos ? text.size() : end + 1;
}

// At most `limit` lines from `first` on, and at most kMaxReadBytes, but at least one line.
LineRange take_lines(std::string_view text, int64_t first, int64_t limit) {
  for (int64_t line = 1; line < first && !text.empty(); ++line) {
    text.remove_prefix(line_bytes(text));
  }
  size_t bytes = 0;
  int64_t count = 0;
  while (count < limit && bytes < text.size()) {
    const size_t next = line_bytes(text.substr(bytes));
    if (count > 0 && bytes + next > kMaxReadBytes) break;
    bytes += next;
    ++count;
  }
  return {text.substr(0, bytes), first, count};
}

// Members that are there and not positive are refused.
Result<int64_t> positive_argument(const json::object& arguments, std::string_view name,
                                  int64_t otherwise) {
  TRY(const auto value, integer_argument(arguments, name));
  if (value && *value < 1) {
    return fail(Code::kInvalidArgument, "the argument '{}' must be at least 1, got {}", name,
                *value);
  }
  return value.value_or(otherwise);
}

std::string describe(const LineRange& lines, int64_t total) {
  std::string answer(lines.text.substr(0, kMaxReadBytes));
  if (answer.size() < lines.text.size()) {
    answer.resize(complete_utf8_prefix(answer));
    answer += fmt::format("\n[line {} is cut: it has {} bytes]", lines.first, lines.text.size());
  }
  const int64_t last = lines.first + lines.count - 1;
  if (lines.first == 1 && last == total) return answer;
  if (!answer.empty() && answer.back() != '\n') answer += '\n';
  answer += fmt::format("[lines {} to {} of {}", lines.first, last, total);
  answer += last < total ? fmt::format("; the next has offset {}]", last + 1) : "]";
  return answer;
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

// Names that would drive a terminal, or are no text, are shown in quotes with their bytes.
std::string describe_entry(int folder, const char* name) {
  const std::string_view text = name;
  const bool is_plain = is_utf8(text) && std::none_of(text.begin(), text.end(), [](char c) {
                          return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
                        });
  std::string shown = is_plain ? std::string(text) : formats::printable(text);
  struct stat info {};
  if (::fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return shown;
  if (S_ISDIR(info.st_mode)) return shown + "/";
  if (S_ISLNK(info.st_mode)) return shown + " (link)";
  if (S_ISREG(info.st_mode)) return fmt::format("{} ({} bytes)", shown, info.st_size);
  return shown + " (not a file)";
}

}  // namespace

ReadFile::ReadFile(std::shared_ptr<const Folder> folder)
    : Tool("read_file", "Reads lines of a text file of the folder.",
           object_schema(
               {{"path", {{"type", "string"}, {"description", "relative to the folder"}}},
                {"offset", {{"type", "integer"}, {"description", "the first line, from 1"}}},
                {"limit",
                 {{"type", "integer"},
                  {"description", fmt::format("lines at most, {} if left out", kDefaultLines)}}}},
               {"path"})),
      folder_(std::move(folder)) {}

Result<std::string> ReadFile::call(const json::object& arguments, const CallContext&) {
  TRY(const auto path, text_argument(arguments, "path"));
  TRY(const int64_t first, positive_argument(arguments, "offset", 1));
  TRY(const int64_t limit, positive_argument(arguments, "limit", kDefaultLines));
  TRY(const std::string text, folder_->read(path, kMaxTextFileBytes));
  if (text.find('\0') != text.npos || !is_utf8(text)) {
    return fail(Code::kInvalidArgument, "{} is not a text (UTF-8)", formats::printable(path));
  }
  const int64_t total = count_lines(text);
  if (total == 0) return "[the file is empty]";
  if (first > total) {
    return fail(Code::kInvalidArgument, "{} has only {} lines", formats::printable(path), total);
  }
  return describe(take_lines(text, first, limit), total);
}

ListFiles::ListFiles(std::shared_ptr<const Folder> folder)
    : Tool("list_files", "Lists the files and folders in the folder, or in a folder of it.",
           object_schema({{"path",
                           {{"type", "string"},
                            {"description", "relative to the folder; left out: the folder"}}}},
                         {})),
      folder_(std::move(folder)) {}

Result<std::string> ListFiles::call(const json::object& arguments, const CallContext& context) {
  std::string_view path;
  if (arguments.contains("path")) {
    TRY(path, text_argument(arguments, "path"));
  }
  TRY(Descriptor descriptor, folder_->open_folder(path));
  const std::unique_ptr<DIR, CloseFolder> folder(::fdopendir(descriptor.get()));
  if (folder == nullptr) return fail(Code::kIo, "cannot list {}", formats::printable(path));
  descriptor.release();
  std::vector<std::string> entries;
  uint64_t others = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (entries.size() == kMaxListedFiles) {
      ++others;
      TRY(context.check("the end of the list"));
      continue;
    }
    entries.push_back(describe_entry(::dirfd(folder.get()), entry->d_name));
  }
  if (entries.empty()) return "[the folder is empty]";
  std::sort(entries.begin(), entries.end());
  std::string answer;
  for (const std::string& entry : entries) answer += entry + "\n";
  if (others > 0) answer += fmt::format("[and {} more]\n", others);
  return answer;
}

}  // namespace hachi::agent
