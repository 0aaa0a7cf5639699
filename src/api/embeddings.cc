#include "api/embeddings.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "api/fields.h"
#include "api/json_text.h"
#include "api/sampling.h"
#include "core/check.h"

namespace hachi::api {
namespace {

static_assert(std::endian::native == std::endian::little, "floats go out as they are in memory");

void append_floats(std::string& out, const std::vector<float>& values) {
  out += '[';
  Separator comma;
  for (const float value : values) {
    CHECK(std::isfinite(value));
    comma(out);
    append_float(out, value);
  }
  out += ']';
}

void append_floats_base64(std::string& out, const std::vector<float>& values) {
  out += '"';
  append_base64(out,
                {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(float)});
  out += '"';
}

void refuse_empty_texts(FieldReader& fields, const std::vector<Prompt>& input) {
  for (const Prompt& prompt : input) {
    const std::string* text = std::get_if<std::string>(&prompt);
    if (text && text->empty()) fields.fail("input", "must not have an empty string");
  }
}

}  // namespace

ApiResult<EmbeddingRequest> parse_embedding_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  EmbeddingRequest out;
  fields.require("model");
  out.model = fields.text("model").value_or("");
  out.input = read_prompts(fields, "input");
  refuse_empty_texts(fields, out.input);
  out.base64 = fields.word("encoding_format", {"float", "base64"}) == "base64";
  out.dimensions = fields.integer("dimensions", {1, kMaxInt32});
  (void)fields.text("user");
  fields.finish();
  return value_or_error(std::move(out), error);
}

void append_embedding_response(std::string& out, std::string_view model,
                               std::span<const std::vector<float>> embeddings, bool base64,
                               int64_t prompt_tokens) {
  ObjectWriter writer(out);
  writer.text("object", "list").member("data") += '[';
  Separator comma;
  for (size_t i = 0; i < embeddings.size(); ++i) {
    comma(out);
    ObjectWriter embedding(out);
    embedding.text("object", "embedding").integer("index", static_cast<int64_t>(i));
    embedding.member("embedding");
    if (base64) {
      append_floats_base64(out, embeddings[i]);
    } else {
      append_floats(out, embeddings[i]);
    }
    embedding.close();
  }
  out += ']';
  writer.text("model", model);
  ObjectWriter(writer.member("usage"))
      .integer("prompt_tokens", prompt_tokens)
      .integer("total_tokens", prompt_tokens)
      .close();
  writer.close();
}

}  // namespace hachi::api
