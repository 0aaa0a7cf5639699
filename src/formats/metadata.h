// Metadata: the named values of a model, whatever file they came from. GGUF's key-value pairs keep
// their keys ("qwen3.block_count"); the JSON files of a Hugging Face folder are flattened, with a
// dot between the levels ("rope_scaling.factor"). Lists of plain values are one value.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"

namespace hachi::formats {

// What is there but has no plain form: an object (its fields follow under keys of their own), a
// list of lists, a list of mixed types.
struct Composite {};

// Strings are UTF-8, and views into memory that the Checkpoint owns. uint64_t holds only what is
// too large for int64_t; the bools of a list are integers, 0 or 1. std::monostate stands for null.
using Value =
    std::variant<std::monostate, Composite, bool, int64_t, uint64_t, double, std::string_view,
                 std::vector<int64_t>, std::vector<double>, std::vector<std::string_view>>;

class Metadata {
 public:
  // False if the key is there already.
  bool add(std::string_view key, Value value);

  const Value* find(std::string_view key) const;
  const std::map<std::string, Value, std::less<>>& entries() const { return entries_; }

  // The value under `key`, or nothing if there is none or it is null. Fails with kCorrupt, naming
  // the key, if it is of another type or does not fit; an integer is a number too, and a number
  // without a fraction is an integer.
  Result<std::optional<int64_t>> integer(std::string_view key) const;
  Result<std::optional<double>> number(std::string_view key) const;
  Result<std::optional<bool>> boolean(std::string_view key) const;
  Result<std::optional<std::string_view>> string(std::string_view key) const;
  // The list under `key`, empty if there is none or it is null. One integer counts as a list of one
  // (Hugging Face writes eos_token_id both ways).
  Result<std::vector<int64_t>> integers(std::string_view key) const;
  Result<std::vector<double>> numbers(std::string_view key) const;

  // The list under `key` where it is, or null; no copy (vocabularies are long).
  const std::vector<std::string_view>* strings(std::string_view key) const;

 private:
  std::map<std::string, Value, std::less<>> entries_;
};

}  // namespace hachi::formats
