// Prompts that are no conversation: a text, a list of texts, token ids, or a list of those.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/fields.h"

namespace hachi::api {

inline constexpr size_t kMaxPrompts = 2048;  // OpenAI's limit for embeddings

using Prompt = std::variant<std::string, std::vector<int32_t>>;

// `name`, which must be there, in any of the four forms; a list may mix texts and token ids.
// At least one prompt, and at least one token in each that is given as token ids.
std::vector<Prompt> read_prompts(FieldReader& fields, std::string_view name);

}  // namespace hachi::api
