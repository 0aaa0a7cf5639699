#include "api/batches.h"

#include <algorithm>
#include <iterator>

#include <boost/json/serialize.hpp>

#include "api/fields.h"
#include "api/json_text.h"
#include "api/sampling.h"

namespace hachi::api {
namespace {

// By the value of BatchStatus.
constexpr std::string_view kStatusWords[] = {"validating", "failed",  "in_progress", "finalizing",
                                             "completed",  "expired", "cancelling",  "cancelled"};

std::string read_endpoint(FieldReader& fields, std::string_view name) {
  fields.require(name);
  const auto endpoint = fields.word(
      name, {kBatchEndpoints[0], kBatchEndpoints[1], kBatchEndpoints[2], kBatchEndpoints[3]});
  return std::string(endpoint.value_or(""));
}

std::string read_metadata_text(FieldReader& fields) {
  const json::object* metadata = read_metadata(fields);
  return metadata ? json::serialize(*metadata) : std::string();
}

void append_time(ObjectWriter& writer, std::string_view key, int64_t time) {
  if (time > 0) {
    writer.integer(key, time);
  } else {
    writer.null(key);
  }
}

void append_errors(std::string& out, std::span<const BatchLineError> errors) {
  ObjectWriter writer(out);
  writer.text("object", "list").member("data") += '[';
  Separator comma;
  for (const BatchLineError& at : errors) {
    comma(out);
    ObjectWriter(out)
        .text_or_null("code", at.error.code)
        .integer("line", at.line)
        .text("message", at.error.message)
        .text_or_null("param", at.error.param)
        .close();
  }
  out += ']';
  writer.close();
}

// A page of objects that have an id, as OpenAI's clients walk through them.
template <class T>
void append_page(std::string& out, std::span<const T> items, bool has_more,
                 void (*append)(std::string&, const T&)) {
  ObjectWriter writer(out);
  writer.text("object", "list").member("data") += '[';
  Separator comma;
  for (const T& item : items) {
    comma(out);
    append(out, item);
  }
  out += ']';
  writer.text_or_null("first_id", items.empty() ? "" : items.front().id)
      .text_or_null("last_id", items.empty() ? "" : items.back().id)
      .boolean("has_more", has_more)
      .close();
}

}  // namespace

std::string_view to_string(FilePurpose purpose) {
  return purpose == FilePurpose::kBatch ? "batch" : "batch_output";
}

void append_file(std::string& out, const FileObject& file) {
  ObjectWriter(out)
      .text("id", file.id)
      .text("object", "file")
      .integer("bytes", file.bytes)
      .integer("created_at", file.created_at)
      .text("filename", file.filename)
      .text("purpose", to_string(file.purpose))
      .text("status", "processed")
      .close();
}

void append_file_list(std::string& out, std::span<const FileObject> files, bool has_more) {
  append_page(out, files, has_more, append_file);
}

void append_file_deleted(std::string& out, std::string_view id) {
  ObjectWriter(out).text("id", id).text("object", "file").boolean("deleted", true).close();
}

std::string_view to_string(BatchStatus status) { return kStatusWords[static_cast<size_t>(status)]; }

std::optional<BatchStatus> batch_status(std::string_view word) {
  const auto found = std::find(std::begin(kStatusWords), std::end(kStatusWords), word);
  if (found == std::end(kStatusWords)) return std::nullopt;
  return static_cast<BatchStatus>(found - std::begin(kStatusWords));
}

ApiResult<BatchRequest> parse_batch_request(std::string_view body) {
  FirstError error;
  const json::object object = parse_request(body, error);
  FieldReader fields(object, "", error);
  BatchRequest out;
  fields.require("input_file_id");
  out.input_file_id = fields.text("input_file_id").value_or("");
  out.endpoint = read_endpoint(fields, "endpoint");
  fields.require("completion_window");
  (void)fields.word("completion_window", {"24h"});
  out.metadata = read_metadata_text(fields);
  fields.unsupported("output_expires_after");
  fields.finish();
  return value_or_error(std::move(out), error);
}

void append_batch(std::string& out, const Batch& batch) {
  ObjectWriter writer(out);
  writer.text("id", batch.id)
      .text("object", "batch")
      .text("endpoint", batch.request.endpoint)
      .text("input_file_id", batch.request.input_file_id)
      .text("completion_window", "24h")
      .text("status", to_string(batch.status))
      .text_or_null("output_file_id", batch.output_file_id)
      .text_or_null("error_file_id", batch.error_file_id);
  if (batch.errors.empty()) {
    writer.null("errors");
  } else {
    append_errors(writer.member("errors"), batch.errors);
  }
  writer.integer("created_at", batch.created_at);
  append_time(writer, "in_progress_at", batch.in_progress_at);
  append_time(writer, "expires_at", batch.expires_at);
  append_time(writer, "finalizing_at", batch.finalizing_at);
  append_time(writer, "completed_at", batch.completed_at);
  append_time(writer, "failed_at", batch.failed_at);
  append_time(writer, "expired_at", batch.expired_at);
  append_time(writer, "cancelling_at", batch.cancelling_at);
  append_time(writer, "cancelled_at", batch.cancelled_at);
  ObjectWriter(writer.member("request_counts"))
      .integer("total", batch.total)
      .integer("completed", batch.completed)
      .integer("failed", batch.failed)
      .close();
  const std::string& metadata = batch.request.metadata;
  writer.raw("metadata", metadata.empty() ? "null" : metadata).close();
}

void append_batch_list(std::string& out, std::span<const Batch> batches, bool has_more) {
  append_page(out, batches, has_more, append_batch);
}

ApiResult<BatchLine> parse_batch_line(std::string_view line) {
  FirstError error;
  const json::object object = parse_request(line, error);
  FieldReader fields(object, "", error);
  BatchLine out;
  fields.require("custom_id");
  out.custom_id = fields.text("custom_id").value_or("");
  if (out.custom_id.empty()) fields.fail("custom_id", "must not be empty");
  fields.require("method");
  (void)fields.word("method", {"POST"});
  out.url = read_endpoint(fields, "url");
  fields.require("body");
  if (const json::object* body = fields.object("body")) out.body = json::serialize(*body);
  fields.finish();
  return value_or_error(std::move(out), error);
}

void append_batch_result(std::string& out, std::string_view id, std::string_view custom_id,
                         std::string_view request_id, int status, std::string_view body) {
  ObjectWriter writer(out);
  writer.text("id", id).text("custom_id", custom_id);
  ObjectWriter(writer.member("response"))
      .integer("status_code", status)
      .text("request_id", request_id)
      .raw("body", body)
      .close();
  writer.null("error").close();
  out += '\n';
}

void append_batch_failure(std::string& out, std::string_view id, std::string_view custom_id,
                          const ApiError& error) {
  ObjectWriter writer(out);
  writer.text("id", id).text("custom_id", custom_id).null("response");
  ObjectWriter(writer.member("error"))
      .text_or_null("code", error.code)
      .text("message", error.message)
      .close();
  writer.close();
  out += '\n';
}

}  // namespace hachi::api
