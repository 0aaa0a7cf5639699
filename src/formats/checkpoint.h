// Checkpoint: the tensors and the metadata of a model, memory-mapped from disk or made in memory. A
// GGUF file (or the first of a split set) and a Hugging Face folder look the same through it; what
// their keys and tensor names mean is for model/ to know.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/result.h"
#include "formats/gguf_pairs.h"
#include "formats/metadata.h"
#include "formats/tensor_entry.h"

namespace hachi::formats {

enum class Kind { kGguf, kHuggingFace };

// A model that no file holds, with GGUF's names and keys.
struct InMemoryModel {
  std::string title;  // path() of the checkpoint: what messages call it
  Metadata metadata;  // its strings are literals
  struct NamedTensor {
    std::string name;
    ConstTensor data;  // a view into `memory`
  };
  std::vector<NamedTensor> tensors;
  Buffer memory;
};

// Move-only. All views that it hands out live as long as it does, wherever it is moved.
class Checkpoint {
 public:
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  // `path`: a .gguf file, any part of a split GGUF set, or a folder with config.json. Reads headers
  // only; each size and offset is checked against the files. Fails with one sentence that names the
  // file.
  static Result<Checkpoint> open(const std::filesystem::path& path);

  // A GGUF checkpoint made of `model`, whose parts are trusted.
  static Checkpoint in_memory(InMemoryModel model);

  Kind kind() const;
  const std::filesystem::path& path() const;
  uint64_t file_bytes() const;  // of all files that hold tensors

  // In the order of the files.
  std::span<const TensorEntry> tensors() const;
  const TensorEntry* find(std::string_view name) const;

  const Metadata& metadata() const;  // GGUF's pairs, or config.json
  // GGUF's pairs as they lie in the (first) file, in its order; none of a Hugging Face folder.
  std::span<const RawPair> raw_pairs() const;
  const Metadata& generation() const;        // generation_config.json, or empty
  const Metadata& tokenizer_config() const;  // tokenizer_config.json, or empty
  std::string_view tokenizer_json() const;   // the text of tokenizer.json, or empty

  // The Jinja source: GGUF's tokenizer.chat_template, chat_template.jinja, or the chat_template of
  // tokenizer_config.json (a string, or the "default" of a list of named ones), in this order.
  std::optional<std::string_view> chat_template() const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace hachi::formats
