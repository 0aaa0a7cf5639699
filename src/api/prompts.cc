#include "api/prompts.h"

#include <utility>

namespace hachi::api {
namespace {

// A prompt in the form of token ids.
std::vector<int32_t> token_prompt(const json::array& list, const std::string& path,
                                  FirstError& error) {
  if (list.empty()) error = invalid_field(path, "{} must have at least one token", path);
  if (error) return {};
  return token_elements(list, path, error);
}

}  // namespace

std::vector<Prompt> read_prompts(FieldReader& fields, std::string_view name) {
  std::vector<Prompt> out;
  fields.require(name);
  const json::value* value = fields.any(name);
  if (!value) return out;
  const std::string path = fields.path_of(name);
  const json::array* list = value->if_array();
  if (!list && !value->is_string()) {
    fields.fail(name, "must be a string, a list of strings, token ids or a list of those, got {}",
                shown(*value));
  } else if (!list) {
    if (auto text = fields.text(name, kMaxTextBytes)) out.emplace_back(std::move(*text));
  } else if (list->empty() || list->front().is_number()) {
    out.emplace_back(token_prompt(*list, path, fields.error()));
  } else if (list->size() > kMaxPrompts) {
    fields.fail(name, "must have at most {} prompts, got {}", kMaxPrompts, list->size());
  } else {
    for (size_t i = 0; i < list->size() && !fields.failed(); ++i) {
      const json::value& element = (*list)[i];
      if (const json::array* tokens = element.if_array()) {
        out.emplace_back(token_prompt(*tokens, element_path(path, i), fields.error()));
      } else if (auto text = text_element(element, path, i, kMaxTextBytes, fields.error())) {
        out.emplace_back(std::move(*text));
      }
    }
  }
  return out;
}

}  // namespace hachi::api
