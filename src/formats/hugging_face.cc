#include "formats/hugging_face.h"

#include <map>
#include <string>
#include <system_error>
#include <utility>

#include "core/utf8.h"
#include "formats/json.h"
#include "formats/printable.h"
#include "formats/safetensors.h"

namespace hachi::formats {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 1 << 20;
constexpr uint64_t kMaxTokenizerConfigBytes = 8 << 20;  // Gemma 3's has 1.2 MB
constexpr uint64_t kMaxIndexBytes = 16 << 20;           // 100 bytes a tensor
constexpr uint64_t kMaxTemplateBytes = 1 << 20;
constexpr size_t kMaxShards = 1024;

// The part of an error message that says what was needed.
tl::unexpected<Error> missing(const fs::path& folder, std::string_view needed) {
  return fail(Code::kNotFound,
              "{}: there is no {} in the folder; give a folder as Hugging Face keeps it, or a GGUF "
              "file",
              folder.string(), needed);
}

bool is_there(const fs::path& path) {
  std::error_code ignored;  // a file that cannot be asked about is told of when it is opened
  return fs::exists(path, ignored);
}

// The object in the file, kept in `contents`, which owns its strings.
Result<const json::object*> read_object(Contents& contents, const fs::path& path,
                                        uint64_t max_bytes) {
  TRY(const std::string text, read_file(path, max_bytes));
  TRY(auto object, parse_json_object(text, path.string()));
  contents.documents.emplace_back(std::move(object));
  return &std::as_const(contents.documents.back()).get_object();
}

// The text of the file, mapped and kept in `contents`.
Result<std::string_view> map_text(Contents& contents, const fs::path& path, uint64_t max_bytes) {
  TRY(auto file, MappedFile::open(path));
  const std::string_view text = file.text();
  if (text.size() > max_bytes) {
    return fail(Code::kLimit, "{}: {} bytes, more than the {} allowed", path.string(), text.size(),
                max_bytes);
  }
  contents.files.push_back(std::move(file));
  return text;
}

Result<void> add_tensors(Contents& contents, const fs::path& path) {
  TRY(auto file, MappedFile::open(path));
  TRY(auto parsed, parse_safetensors(file.bytes(), path.string()));
  contents.file_bytes += file.bytes().size();
  contents.tensors.insert(contents.tensors.end(), parsed.tensors.begin(), parsed.tensors.end());
  contents.documents.emplace_back(std::move(parsed.header));
  contents.files.push_back(std::move(file));
  return {};
}

// A shard lies in the folder itself; an index may not lead anywhere else.
bool is_shard_name(std::string_view name) {
  return name.ends_with(".safetensors") && !name.starts_with('.') &&
         name.find_first_of(std::string_view("/\\\0", 3)) == name.npos && is_utf8(name);
}

Result<void> add_shards(Contents& contents, const fs::path& index) {
  TRY(const std::string text, read_file(index, kMaxIndexBytes));
  TRY(const auto document, parse_json_object(text, index.string()));
  const json::value* map = document.if_contains("weight_map");
  if (map == nullptr || !map->is_object()) {
    return fail(Code::kCorrupt, "{}: there is no object weight_map in it", index.string());
  }
  std::map<std::string, std::vector<std::string_view>> tensors_of;  // by the shard's name
  for (const json::key_value_pair& pair : map->get_object()) {
    const json::string* shard = pair.value().if_string();
    if (shard == nullptr || !is_shard_name(*shard)) {
      return fail(
          Code::kCorrupt,
          "{}: weight_map places {} in {}, and may only name a *.safetensors of this folder",
          index.string(), printable(pair.key()), shard == nullptr ? "no file" : printable(*shard));
    }
    tensors_of[std::string(*shard)].push_back(pair.key());
  }
  if (tensors_of.empty() || tensors_of.size() > kMaxShards) {
    return fail(Code::kCorrupt, "{}: weight_map names {} files, where 1 to {} are possible",
                index.string(), tensors_of.size(), kMaxShards);
  }
  std::map<std::string_view, std::string_view> shard_of;  // by the tensor's name
  for (const auto& [shard, names] : tensors_of) {
    const size_t before = contents.tensors.size();
    TRY(add_tensors(contents, index.parent_path() / shard));
    for (size_t i = before; i < contents.tensors.size(); ++i) {
      shard_of.emplace(contents.tensors[i].name, shard);
    }
    for (const std::string_view name : names) {
      const auto found = shard_of.find(name);
      if (found == shard_of.end() || found->second != shard) {
        return fail(Code::kCorrupt, "{}: weight_map places {} in {}, which does not hold it",
                    index.string(), printable(name), printable(shard));
      }
    }
  }
  return check_names(contents.tensors, index.parent_path().string());
}

// The one *.safetensors of a folder that names it in its own way.
Result<fs::path> find_single(const fs::path& folder) {
  std::error_code ec;
  fs::directory_iterator entries(folder, ec);
  fs::path found;
  int count = 0;
  for (; !ec && entries != fs::directory_iterator(); entries.increment(ec)) {
    if (!entries->path().filename().string().ends_with(".safetensors")) continue;
    found = entries->path();
    ++count;
  }
  if (ec) return fail(Code::kIo, "{}: cannot list it: {}", folder.string(), ec.message());
  if (count == 0) return missing(folder, "*.safetensors");
  if (count > 1) return missing(folder, "model.safetensors.index.json for its many *.safetensors");
  return found;
}

Result<void> read_tensors(Contents& contents, const fs::path& folder) {
  const fs::path single = folder / "model.safetensors";
  const fs::path index = folder / "model.safetensors.index.json";
  if (is_there(single)) return add_tensors(contents, single);
  if (is_there(index)) return add_shards(contents, index);
  TRY(const fs::path only, find_single(folder));
  return add_tensors(contents, only);
}

// The chat_template of tokenizer_config.json: a string, or the one named "default" in a list.
Result<std::optional<std::string_view>> configured_template(const json::object& config,
                                                            const fs::path& path) {
  const json::value* value = config.if_contains("chat_template");
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (const json::string* text = value->if_string()) return *text;
  const json::array* list = value->if_array();
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const json::object* named = (*list)[i].if_object();
    if (named == nullptr) continue;
    const json::value* name = named->if_contains("name");
    const json::value* text = named->if_contains("template");
    if (name != nullptr && *name == "default" && text != nullptr && text->is_string()) {
      return text->get_string();
    }
  }
  return fail(Code::kCorrupt,
              "{}: chat_template is neither a string nor a list that has one named 'default'",
              path.string());
}

Result<void> read_tokenizer_files(Contents& contents, const fs::path& folder) {
  if (const fs::path path = folder / "tokenizer.json"; is_there(path)) {
    TRY(contents.tokenizer_json, map_text(contents, path, kMaxJsonBytes));
  }
  if (const fs::path path = folder / "tokenizer_config.json"; is_there(path)) {
    TRY(const json::object* object, read_object(contents, path, kMaxTokenizerConfigBytes));
    TRY(contents.tokenizer_config, flatten(*object, path.string()));
    TRY(contents.chat_template, configured_template(*object, path));
  }
  if (const fs::path path = folder / "chat_template.jinja"; is_there(path)) {
    TRY(contents.chat_template, map_text(contents, path, kMaxTemplateBytes));
  }
  return {};
}

}  // namespace

Result<Contents> open_hugging_face(const fs::path& folder) {
  Contents contents;
  const fs::path config = folder / "config.json";
  if (!is_there(config)) return missing(folder, "config.json");
  TRY(const json::object* object, read_object(contents, config, kMaxConfigBytes));
  TRY(contents.metadata, flatten(*object, config.string()));
  if (const fs::path path = folder / "generation_config.json"; is_there(path)) {
    TRY(object, read_object(contents, path, kMaxConfigBytes));
    TRY(contents.generation, flatten(*object, path.string()));
  }
  TRY(read_tokenizer_files(contents, folder));
  TRY(read_tensors(contents, folder));
  return contents;
}

}  // namespace hachi::formats
