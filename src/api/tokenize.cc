#include "api/tokenize.h"

#include "api/fields.h"
#include "api/json_text.h"
#include "api/sampling.h"

namespace hachi::api {

ApiResult<TokenizeRequest> parse_tokenize_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  TokenizeRequest out;
  out.model = fields.text("model").value_or("");
  auto prompt = fields.text("prompt", kMaxTextBytes);
  out.is_chat = !prompt;
  if (prompt && fields.any("messages")) fields.fail("prompt", "and messages exclude each other");
  if (out.is_chat) {
    fields.require(fields.any("messages") ? "messages" : "prompt");
    out.messages = read_messages(fields, "messages");
    out.prompt_fields = read_template_fields(fields, out.messages);
    out.tools = read_chat_tools(fields);
  } else {
    out.prompt = std::move(*prompt);
  }
  out.add_special_tokens = fields.boolean("add_special_tokens").value_or(!out.is_chat);
  out.return_token_strs = fields.boolean("return_token_strs").value_or(false);
  fields.finish();
  return value_or_error(std::move(out), error);
}

void append_tokenize_response(std::string& out, std::span<const int32_t> tokens,
                              std::span<const std::string> token_strs, int64_t max_model_len) {
  ObjectWriter writer(out);
  writer.integer("count", static_cast<int64_t>(tokens.size()))
      .integer("max_model_len", max_model_len)
      .member("tokens") += '[';
  Separator comma;
  for (const int32_t token : tokens) {
    comma(out);
    append_integer(out, token);
  }
  out += ']';
  if (!token_strs.empty()) {
    writer.member("token_strs") += '[';
    Separator text_comma;
    for (const std::string& text : token_strs) {
      text_comma(out);
      append_json_string(out, text);
    }
    out += ']';
  }
  writer.close();
}

ApiResult<DetokenizeRequest> parse_detokenize_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  DetokenizeRequest out;
  out.model = fields.text("model").value_or("");
  fields.require("tokens");
  out.tokens = read_token_ids(fields, "tokens", kMaxListLength);
  fields.finish();
  return value_or_error(std::move(out), error);
}

void append_detokenize_response(std::string& out, std::string_view prompt) {
  ObjectWriter(out).text("prompt", prompt).close();
}

void append_tokenizer_info(std::string& out, std::string_view bos_token, std::string_view eos_token,
                           int64_t max_model_len) {
  ObjectWriter(out)
      .text_or_null("bos_token", bos_token)
      .text_or_null("eos_token", eos_token)
      .integer("model_max_length", max_model_len)
      .close();
}

}  // namespace hachi::api
