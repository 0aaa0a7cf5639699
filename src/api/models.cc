#include "api/models.h"

#include "api/json_text.h"

namespace hachi::api {

void append_model(std::string& out, const ModelCard& model) {
  ObjectWriter writer(out);
  writer.text("id", model.id)
      .text("object", "model")
      .integer("created", model.created)
      .text("owned_by", "hachi");
  if (model.max_model_len > 0) writer.integer("max_model_len", model.max_model_len);
  writer.close();
}

void append_model_list(std::string& out, std::span<const ModelCard> models) {
  ObjectWriter writer(out);
  writer.text("object", "list").member("data") += '[';
  Separator comma;
  for (const ModelCard& model : models) {
    comma(out);
    append_model(out, model);
  }
  out += ']';
  writer.close();
}

}  // namespace hachi::api
