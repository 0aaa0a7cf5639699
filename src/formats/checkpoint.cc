#include "formats/checkpoint.h"

#include <map>
#include <system_error>
#include <utility>

#include "core/utf8.h"
#include "formats/contents.h"
#include "formats/gguf_set.h"
#include "formats/hugging_face.h"

namespace hachi::formats {

struct Checkpoint::State {
  Kind kind = Kind::kGguf;
  std::filesystem::path path;
  Contents contents;
  std::map<std::string_view, size_t> index_of;  // into contents.tensors

  void index_tensors() {
    const auto& tensors = contents.tensors;
    for (size_t i = 0; i < tensors.size(); ++i) index_of.emplace(tensors[i].name, i);
  }
};

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  std::error_code ignored;  // what is not there is found, and told better, when it is opened
  if (std::filesystem::is_directory(path, ignored)) {
    state->kind = Kind::kHuggingFace;
    TRY(state->contents, open_hugging_face(path));
  } else if (path.extension() == ".safetensors") {
    return fail(Code::kInvalidArgument,
                "{}: tensors alone are not a model; name the folder that also holds config.json",
                path.string());
  } else {
    TRY(state->contents, open_gguf(path));
  }
  if (const auto text = state->contents.chat_template; text && !is_utf8(*text)) {
    return fail(Code::kCorrupt, "{}: the chat template is not UTF-8", path.string());
  }
  state->index_tensors();
  return Checkpoint(std::move(state));
}

Checkpoint Checkpoint::in_memory(InMemoryModel model) {
  auto state = std::make_unique<State>();
  state->path = std::move(model.title);
  Contents& contents = state->contents;
  contents.metadata = std::move(model.metadata);
  contents.file_bytes = model.memory.bytes();
  contents.memory = std::move(model.memory);
  for (InMemoryModel::NamedTensor& tensor : model.tensors) {
    contents.names.push_back(std::move(tensor.name));
    contents.tensors.push_back({contents.names.back(), tensor.data});
  }
  state->index_tensors();
  return Checkpoint(std::move(state));
}

Kind Checkpoint::kind() const { return state_->kind; }
const std::filesystem::path& Checkpoint::path() const { return state_->path; }
uint64_t Checkpoint::file_bytes() const { return state_->contents.file_bytes; }

std::span<const TensorEntry> Checkpoint::tensors() const { return state_->contents.tensors; }

const TensorEntry* Checkpoint::find(std::string_view name) const {
  const auto found = state_->index_of.find(name);
  return found == state_->index_of.end() ? nullptr : &state_->contents.tensors[found->second];
}

const Metadata& Checkpoint::metadata() const { return state_->contents.metadata; }
std::span<const RawPair> Checkpoint::raw_pairs() const { return state_->contents.raw_pairs; }
const Metadata& Checkpoint::generation() const { return state_->contents.generation; }
const Metadata& Checkpoint::tokenizer_config() const { return state_->contents.tokenizer_config; }
std::string_view Checkpoint::tokenizer_json() const { return state_->contents.tokenizer_json; }

std::optional<std::string_view> Checkpoint::chat_template() const {
  return state_->contents.chat_template;
}

}  // namespace hachi::formats
