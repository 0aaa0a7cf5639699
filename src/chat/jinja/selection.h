// What filters on sequences share: picking an attribute of each element, and sorting.
#pragma once

#include <vector>

#include "chat/jinja/value.h"

namespace hachi::chat::jinja {

// What the argument `attribute` of a filter picks from `item`: a path such as "function.name" or
// "0.id", or an index. Null picks the item itself.
Result<Value> attribute_of(Budget& budget, const Value& item, const Value* attribute);

// The (key, value) tuples of `dict`.
Result<Value> pairs_value(Budget& budget, const Dict& dict, ListKind kind);

struct SortBy {
  const Value* attribute = nullptr;  // as for attribute_of()
  bool case_sensitive = false;
  bool descending = false;
};
// `items` in order; equal ones keep theirs. The keys must be all numbers or all strings.
Result<std::vector<Value>> sorted_by(Budget& budget, const std::vector<Value>& items,
                                     const SortBy& by);

}  // namespace hachi::chat::jinja
