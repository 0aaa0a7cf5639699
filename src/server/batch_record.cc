// Batches as the records that are kept of them.
#include <array>
#include <utility>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "api/fields.h"
#include "api/json_text.h"
#include "formats/json.h"
#include "server/batch_store.h"
#include "server/data_folder.h"

namespace hachi::server {
namespace {

using Batch = api::Batch;

constexpr std::array kTimes = {
    std::pair<std::string_view, int64_t Batch::*>("created_at", &Batch::created_at),
    std::pair<std::string_view, int64_t Batch::*>("in_progress_at", &Batch::in_progress_at),
    std::pair<std::string_view, int64_t Batch::*>("expires_at", &Batch::expires_at),
    std::pair<std::string_view, int64_t Batch::*>("finalizing_at", &Batch::finalizing_at),
    std::pair<std::string_view, int64_t Batch::*>("completed_at", &Batch::completed_at),
    std::pair<std::string_view, int64_t Batch::*>("failed_at", &Batch::failed_at),
    std::pair<std::string_view, int64_t Batch::*>("expired_at", &Batch::expired_at),
    std::pair<std::string_view, int64_t Batch::*>("cancelling_at", &Batch::cancelling_at),
    std::pair<std::string_view, int64_t Batch::*>("cancelled_at", &Batch::cancelled_at)};

constexpr api::Range<int64_t> kCount = {0, INT64_MAX};

std::vector<api::BatchLineError> read_errors(api::FieldReader& fields) {
  std::vector<api::BatchLineError> errors;
  const boost::json::object* list = fields.object("errors");
  if (list == nullptr) return errors;
  api::FieldReader list_fields(*list, "errors", fields.error());
  const boost::json::array* data = list_fields.list("data", kMaxListedErrors);
  for (size_t i = 0; data != nullptr && i < data->size(); ++i) {
    auto one = api::read_element((*data)[i], "errors.data", i, fields.error());
    if (!one) break;
    api::BatchLineError error;
    error.line = one->integer("line", kCount).value_or(0);
    error.error.message = one->text("message", kMaxRecordBytes).value_or("");
    error.error.param = one->text("param", kMaxRecordBytes).value_or("");
    error.error.code = one->text("code").value_or("");
    errors.push_back(std::move(error));
  }
  return errors;
}

// What api::append_batch writes.
Batch read_batch(const boost::json::object& object, api::FirstError& error) {
  api::FieldReader fields(object, "batch", error);
  Batch batch;
  batch.id = fields.text("id").value_or("");
  batch.request.endpoint = fields.text("endpoint").value_or("");
  batch.request.input_file_id = fields.text("input_file_id").value_or("");
  fields.require("status");
  const auto status = api::batch_status(fields.text("status").value_or(""));
  if (!status) fields.fail("status", "is none that a batch can have");
  batch.status = status.value_or(api::BatchStatus::kFailed);
  batch.output_file_id = fields.text("output_file_id").value_or("");
  batch.error_file_id = fields.text("error_file_id").value_or("");
  batch.errors = read_errors(fields);
  for (const auto& [name, time] : kTimes) batch.*time = fields.integer(name, kCount).value_or(0);
  if (const boost::json::object* counts = fields.object("request_counts")) {
    api::FieldReader count_fields(*counts, "batch.request_counts", error);
    batch.total = count_fields.integer("total", kCount).value_or(0);
    batch.completed = count_fields.integer("completed", kCount).value_or(0);
    batch.failed = count_fields.integer("failed", kCount).value_or(0);
  }
  if (const boost::json::object* metadata = fields.object("metadata")) {
    batch.request.metadata = boost::json::serialize(*metadata);
  }
  if (!is_id(kBatchId, batch.id)) fields.fail("id", "is not the id of a batch");
  return batch;
}

}  // namespace

bool has_ended(api::BatchStatus status) {
  return status == api::BatchStatus::kFailed || status == api::BatchStatus::kCompleted ||
         status == api::BatchStatus::kExpired || status == api::BatchStatus::kCancelled;
}

std::string to_json(const BatchRecord& record) {
  std::string text;
  api::ObjectWriter writer(text);
  writer.text("owner", record.owner)
      .integer("created_us", record.created_us)
      .text("output_id", record.output_id)
      .text("error_id", record.error_id);
  api::append_batch(writer.member("batch"), record.batch);
  writer.close();
  return text;
}

Result<BatchRecord> parse_batch_record(std::string_view text, std::string_view name) {
  TRY(const auto object, formats::parse_json_object(text, name));
  api::FirstError error;
  api::FieldReader fields(object, "", error);
  BatchRecord record;
  record.owner = fields.text("owner").value_or("");
  record.created_us = fields.integer("created_us", kCount).value_or(0);
  record.output_id = fields.text("output_id").value_or("");
  record.error_id = fields.text("error_id").value_or("");
  fields.require("batch");
  if (const boost::json::object* batch = fields.object("batch")) {
    record.batch = read_batch(*batch, error);
  }
  if (!error && !(is_id(kFileId, record.output_id) && is_id(kFileId, record.error_id) &&
                  is_id(kFileId, record.batch.request.input_file_id))) {
    return fail(Code::kCorrupt, "{}: what it names are no files", name);
  }
  if (error) return fail(Code::kCorrupt, "{}: {}", name, error->message);
  return record;
}

}  // namespace hachi::server
