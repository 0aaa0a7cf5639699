#include "tokenizer/merge_builder.h"

namespace hachi::tokenizer {
namespace {

std::string_view shown(std::string_view text) { return text.substr(0, 64); }

}  // namespace

Result<MergeBuilder> MergeBuilder::start(const Vocabulary& vocabulary, size_t count) {
  if (count > kMaxMerges) {
    return fail(Code::kLimit, "tokenizer: {} merges are more than {}", count, kMaxMerges);
  }
  return MergeBuilder(vocabulary, count);
}

Result<void> MergeBuilder::add(std::string_view left, std::string_view right) {
  joined_.assign(left).append(right);
  const TokenId left_id = vocabulary_->find_in_model(left);
  const TokenId right_id = vocabulary_->find_in_model(right);
  const TokenId merged_id = vocabulary_->find_in_model(joined_);
  if (left_id < 0 || right_id < 0 || merged_id < 0) {
    return fail(Code::kCorrupt,
                "tokenizer: merge {} of '{}' and '{}' names a token that is not in the vocabulary",
                rank_, shown(left), shown(right));
  }
  table_.set(left_id, right_id, rank_++, merged_id);
  return {};
}

Result<void> MergeBuilder::add(std::string_view both) {
  const size_t space = both.find(' ');
  if (space == std::string_view::npos || both.find(' ', space + 1) != std::string_view::npos) {
    return fail(Code::kCorrupt, "tokenizer: merge {} is not two tokens with a space between: '{}'",
                rank_, shown(both));
  }
  return add(both.substr(0, space), both.substr(space + 1));
}

}  // namespace hachi::tokenizer
