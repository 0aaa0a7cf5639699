// multipart/form-data: what forms and OpenAI's clients send files in.
#pragma once

#include <string_view>
#include <vector>

#include "api/error.h"

namespace hachi::server {

inline constexpr size_t kMaxFormParts = 32;
inline constexpr size_t kMaxPartHeadBytes = 8192;

// Views into the request.
struct FormPart {
  std::string_view name;
  std::string_view filename;  // as it stands between the quotes
  bool is_file = false;       // a filename is given
  std::string_view content;
};

// The parts of `body`, of which `content_type` says what is between them. Strict: a body that is
// not exactly parts between boundaries, with names and no name twice, is refused with 400.
// Sources: RFC 7578, and RFC 2046 section 5.1.
api::ApiResult<std::vector<FormPart>> parse_multipart(std::string_view content_type,
                                                      std::string_view body);

}  // namespace hachi::server
