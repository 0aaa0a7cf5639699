// JSON text as Boost.JSON values, within limits, and as Metadata.
#pragma once

#include <cstdint>
#include <string_view>

#include <boost/json/object.hpp>
#include <boost/json/storage_ptr.hpp>
#include <boost/json/value.hpp>

#include "core/result.h"
#include "formats/metadata.h"

namespace hachi::formats {

inline constexpr uint64_t kMaxJsonBytes = 64 << 20;  // the tokenizer.json of Gemma 3 has 33 MB
inline constexpr uint64_t kMaxJsonDepth = 64;
inline constexpr uint64_t kMaxJsonValues = 1 << 22;  // the same file has 2 million

// The value of `text`, in memory of `storage` (the heap if it is left out). Fails with one sentence
// that names `file`, the line and the column if the text is not JSON (UTF-8, no NaN), has a key
// twice in one object, or passes a limit. Numbers are the nearest doubles.
Result<boost::json::value> parse_json(std::string_view text, std::string_view file,
                                      boost::json::storage_ptr storage = {});

// The same for a text that must be an object.
Result<boost::json::object> parse_json_object(std::string_view text, std::string_view file);

// The values of an object and of the objects in it, keys joined by dots. Strings are views into
// `object`'s memory. Fails if a key with a dot collides with a path.
Result<Metadata> flatten(const boost::json::object& object, std::string_view file);

}  // namespace hachi::formats
