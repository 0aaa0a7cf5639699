#include "formats/gguf_set.h"

#include <string>
#include <utility>

#include "formats/gguf.h"
#include "formats/printable.h"

namespace hachi::formats {
namespace {

constexpr int64_t kMaxParts = 1024;

struct Part {
  std::filesystem::path path;
  MappedFile file;
  Gguf gguf;
  int64_t number = 0;  // counted from 0
  int64_t count = 1;   // parts of the whole set
};

Result<int64_t> split_value(const Part& part, std::string_view key, int64_t fallback) {
  const auto value = part.gguf.metadata.integer(key);
  if (!value) return fail(Code::kCorrupt, "{}: {}", part.path.string(), value.error().message);
  return value->value_or(fallback);
}

Result<Part> open_part(const std::filesystem::path& path) {
  Part part;
  part.path = path;
  TRY(part.file, MappedFile::open(path));
  TRY(part.gguf, parse_gguf(part.file.bytes(), path.string()));
  TRY(part.number, split_value(part, "split.no", 0));
  TRY(part.count, split_value(part, "split.count", 1));
  if (part.count == 0) part.count = 1;  // written so in files that are whole
  if (part.count < 1 || part.count > kMaxParts || part.number < 0 || part.number >= part.count) {
    return fail(Code::kCorrupt, "{}: split.no {} is not one of split.count {} parts (at most {})",
                path.string(), part.number, part.count, kMaxParts);
  }
  return part;
}

std::string part_ending(int64_t number, int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, count);
}

// All parts of the set that `given` belongs to, in order.
Result<std::vector<Part>> open_set(Part given) {
  const std::string name = given.path.filename().string();
  const std::string ending = part_ending(given.number, given.count);
  if (!name.ends_with(ending)) {
    return fail(Code::kInvalidArgument,
                "{}: the file is part {} of {}, so its name must end in {} and the others must lie "
                "beside it",
                given.path.string(), given.number + 1, given.count, ending);
  }
  const std::string stem = name.substr(0, name.size() - ending.size());
  const std::filesystem::path folder = given.path.parent_path();
  const int64_t count = given.count;
  const int64_t number = given.number;
  std::vector<Part> parts;
  for (int64_t i = 0; i < count; ++i) {
    if (i == number) continue;
    auto opened = open_part(folder / (stem + part_ending(i, count)));
    if (!opened && opened.error().code == Code::kNotFound) {
      return fail(Code::kNotFound, "{}; it is part {} of {} of one model, put all of them here",
                  opened.error().message, i + 1, count);
    }
    TRY(auto part, std::move(opened));
    if (part.number != i || part.count != count) {
      return fail(Code::kCorrupt, "{}: the file says that it is part {} of {}, not {} of {}",
                  part.path.string(), part.number + 1, part.count, i + 1, count);
    }
    parts.push_back(std::move(part));
  }
  parts.insert(parts.begin() + static_cast<std::ptrdiff_t>(number), std::move(given));
  return parts;
}

}  // namespace

Result<Contents> open_gguf(const std::filesystem::path& path) {
  TRY(Part given, open_part(path));
  std::vector<Part> parts;
  if (given.count > 1) {
    TRY(parts, open_set(std::move(given)));
  } else {
    parts.push_back(std::move(given));
  }
  TRY(const int64_t stated, split_value(parts.front(), "split.tensors.count", -1));

  Contents contents;
  for (Part& part : parts) {
    contents.file_bytes += part.file.bytes().size();
    contents.tensors.insert(contents.tensors.end(), part.gguf.tensors.begin(),
                            part.gguf.tensors.end());
    contents.files.push_back(std::move(part.file));
  }
  const auto found = static_cast<int64_t>(contents.tensors.size());
  if (parts.size() > 1 && stated != -1 && stated != found) {
    return fail(Code::kCorrupt, "{}: the set should have {} tensors and has {}", path.string(),
                stated, found);
  }
  if (parts.size() > 1) {
    TRY(check_names(contents.tensors, path.string()));
  }
  contents.metadata = std::move(parts.front().gguf.metadata);
  contents.raw_pairs = std::move(parts.front().gguf.raw_pairs);
  auto chat_template = contents.metadata.string("tokenizer.chat_template");
  if (!chat_template) {
    return fail(Code::kCorrupt, "{}: {}", path.string(), chat_template.error().message);
  }
  contents.chat_template = *chat_template;
  return contents;
}

}  // namespace hachi::formats
