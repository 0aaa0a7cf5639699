// /v1/files and /v1/batches: the objects, and the lines of a batch's input and output files.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"

namespace hachi::api {

// ---- files

enum class FilePurpose { kBatch, kBatchOutput };

struct FileObject {
  std::string id;  // "file-…"
  int64_t bytes = 0;
  int64_t created_at = 0;  // seconds since 1970
  std::string filename;
  FilePurpose purpose = FilePurpose::kBatch;
};

std::string_view to_string(FilePurpose purpose);

void append_file(std::string& out, const FileObject& file);
// A page of GET /v1/files; has_more: more follow.
void append_file_list(std::string& out, std::span<const FileObject> files, bool has_more);
void append_file_deleted(std::string& out, std::string_view id);

// ---- batches

enum class BatchStatus {
  kValidating,
  kFailed,  // the input file is wrong; nothing ran
  kInProgress,
  kFinalizing,
  kCompleted,
  kExpired,
  kCancelling,
  kCancelled,
};

std::string_view to_string(BatchStatus status);
std::optional<BatchStatus> batch_status(std::string_view word);

// The endpoints that a line may ask for.
inline constexpr std::string_view kBatchEndpoints[] = {"/v1/chat/completions", "/v1/completions",
                                                       "/v1/embeddings", "/v1/responses"};

struct BatchRequest {
  std::string input_file_id;
  std::string endpoint;  // one of kBatchEndpoints
  std::string metadata;  // a JSON object, or empty
};

ApiResult<BatchRequest> parse_batch_request(std::string_view body);

// What is wrong with a line of the input file.
struct BatchLineError {
  int64_t line = 0;  // from 1
  ApiError error;
};

struct Batch {
  std::string id;  // "batch_…"
  BatchRequest request;
  BatchStatus status = BatchStatus::kValidating;
  std::string output_file_id;  // empty: none
  std::string error_file_id;   // empty: none
  std::vector<BatchLineError> errors;
  int64_t total = 0;
  int64_t completed = 0;
  int64_t failed = 0;
  // Seconds since 1970; 0: it has not happened.
  int64_t created_at = 0;
  int64_t in_progress_at = 0;
  int64_t expires_at = 0;
  int64_t finalizing_at = 0;
  int64_t completed_at = 0;
  int64_t failed_at = 0;
  int64_t expired_at = 0;
  int64_t cancelling_at = 0;
  int64_t cancelled_at = 0;
};

void append_batch(std::string& out, const Batch& batch);
void append_batch_list(std::string& out, std::span<const Batch> batches, bool has_more);

// ---- the lines of the files

// One line of the input: {"custom_id", "method": "POST", "url", "body"}.
struct BatchLine {
  std::string custom_id;  // 1 to kMaxNameBytes bytes; that no two are the same is not checked here
  std::string url;        // one of kBatchEndpoints
  std::string body;       // of that endpoint, a JSON object
};

ApiResult<BatchLine> parse_batch_line(std::string_view line);

// A line of the output, with the newline; `body` is the JSON that the endpoint answered, with
// `status`. Answers of 400 and above go to the error file, in the same form.
void append_batch_result(std::string& out, std::string_view id, std::string_view custom_id,
                         std::string_view request_id, int status, std::string_view body);

// The same for a request that was never run: it expired, or the batch was cancelled.
void append_batch_failure(std::string& out, std::string_view id, std::string_view custom_id,
                          const ApiError& error);

}  // namespace hachi::api
