// MergeBuilder: merges by their texts, in the order of preference, to a MergeTable of ids.
#pragma once

#include <string>
#include <string_view>

#include "core/result.h"
#include "tokenizer/merge_table.h"
#include "tokenizer/vocabulary.h"

namespace hachi::tokenizer {

class MergeBuilder {
 public:
  // At most `count` merges will be added. `vocabulary` must outlive this object.
  static Result<MergeBuilder> start(const Vocabulary& vocabulary, size_t count);

  // Fails if one of the two, or both together, is not a token.
  Result<void> add(std::string_view left, std::string_view right);
  // "left right", as GGUF files and most tokenizer.json files write it.
  Result<void> add(std::string_view both);

  MergeTable build() && { return std::move(table_); }

 private:
  MergeBuilder(const Vocabulary& vocabulary, size_t count)
      : vocabulary_(&vocabulary), table_(count) {}

  const Vocabulary* vocabulary_;
  MergeTable table_;
  uint32_t rank_ = 0;
  std::string joined_;
};

}  // namespace hachi::tokenizer
