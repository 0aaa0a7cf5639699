// /v1/files
#include <algorithm>
#include <fstream>
#include <utility>

#include "api/batches.h"
#include "api/list_query.h"
#include "core/utf8.h"
#include "server/multipart.h"
#include "server/routes.h"
#include "server/storage_steps.h"

namespace hachi::server {
namespace {

constexpr int64_t kMaxListedFiles = 10'000;  // as OpenAI has it
constexpr size_t kPieceBytes = 256 << 10;    // of a file on its way to a client

struct Upload {
  std::string filename;
  std::string_view content;
};

// The last component of what the client names its file.
api::ApiResult<std::string> read_filename(std::string_view name) {
  const size_t slash = name.find_last_of("/\\");
  if (slash != std::string_view::npos) name.remove_prefix(slash + 1);
  const bool has_controls = std::any_of(
      name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (has_controls || name.size() > kMaxFilenameBytes || !is_utf8(name)) {
    return tl::unexpected(api::invalid_field(
        "file", "the name of the file must be UTF-8 of at most {} bytes", kMaxFilenameBytes));
  }
  return std::string(name.empty() ? "upload" : name);
}

api::ApiResult<Upload> read_upload(const net::HttpRequest& request) {
  auto parts = parse_multipart(request.headers.find("content-type").value_or(""), request.body);
  if (!parts) return tl::unexpected(std::move(parts).error());
  const FormPart *purpose = nullptr, *file = nullptr;
  for (const FormPart& part : *parts) {
    if (part.name == "purpose") {
      purpose = &part;
    } else if (part.name == "file") {
      file = &part;
    } else if (part.name.starts_with("expires_after")) {
      return tl::unexpected(
          api::ApiError{400, "expires_after is not supported: files stay until they are deleted",
                        "expires_after", "unsupported"});
    } else {
      return tl::unexpected(api::invalid_field(
          "", "the form may have the fields purpose and file, and nothing else"));
    }
  }
  if (purpose == nullptr || purpose->content != api::to_string(api::FilePurpose::kBatch)) {
    return tl::unexpected(api::invalid_field("purpose", "purpose must be 'batch'"));
  }
  if (file == nullptr || !file->is_file) {
    return tl::unexpected(api::invalid_field("file", "file must be a file of the form"));
  }
  auto filename = read_filename(file->filename);
  if (!filename) return tl::unexpected(std::move(filename).error());
  return Upload{*std::move(filename), file->content};
}

std::string file_json(const api::FileObject& file) {
  std::string body;
  api::append_file(body, file);
  return body;
}

// A file that is being read; the disk is waited for on threads that may.
struct OpenFile {
  std::ifstream stream;
  int64_t bytes_left = 0;
};

// The next bytes; empty at the end, and when the disk fails.
std::string read_piece(OpenFile& file) {
  std::string piece(static_cast<size_t>(std::min<int64_t>(kPieceBytes, file.bytes_left)), '\0');
  file.stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
  piece.resize(static_cast<size_t>(std::max<std::streamsize>(file.stream.gcount(), 0)));
  file.bytes_left -= static_cast<int64_t>(piece.size());
  return piece;
}

}  // namespace

net::awaitable<void> answer_upload(Visit& visit, std::string) {
  const std::string owner = owner_of(visit);
  auto work = [&](Storage& storage) -> api::ApiResult<std::string> {
    auto upload = read_upload(visit.exchange().request());
    if (!upload) return tl::unexpected(std::move(upload).error());
    auto file = storage.files().add(owner, upload->filename, upload->content, visit.app().now_us());
    if (!file) return tl::unexpected(std::move(file).error());
    return file_json(*file);
  };
  co_await send_from_disk(visit, work);
}

net::awaitable<void> answer_files(Visit& visit, std::string) {
  const std::string owner = owner_of(visit);
  auto work = [&](Storage& storage) -> api::ApiResult<std::string> {
    const auto query =
        api::parse_list_query(visit.exchange().request().query, kMaxListedFiles, kMaxListedFiles);
    if (!query) return tl::unexpected(query.error());
    const auto page = storage.files().list(owner, *query);
    if (!page) return tl::unexpected(page.error());
    std::string body;
    api::append_file_list(body, page->items, page->has_more);
    return body;
  };
  co_await send_from_disk(visit, work);
}

net::awaitable<void> answer_file(Visit& visit, std::string id) {
  const std::string owner = owner_of(visit);
  auto work = [&](Storage& storage) -> api::ApiResult<std::string> {
    const auto file = storage.files().find(owner, id);
    if (!file) return tl::unexpected(file.error());
    return file_json(*file);
  };
  co_await send_from_disk(visit, work);
}

net::awaitable<void> answer_delete_file(Visit& visit, std::string id) {
  const std::string owner = owner_of(visit);
  auto work = [&](Storage& storage) -> api::ApiResult<std::string> {
    auto removed = storage.files().remove(owner, id);
    if (!removed) return tl::unexpected(std::move(removed).error());
    std::string body;
    api::append_file_deleted(body, id);
    return body;
  };
  co_await send_from_disk(visit, work);
  visit.app().wake_batches();  // one may wait for room
}

net::awaitable<void> answer_file_content(Visit& visit, std::string id) {
  const std::string owner = owner_of(visit);
  auto open = [&](Storage& storage) -> api::ApiResult<OpenFile> {
    const auto found = storage.files().find(owner, id);
    if (!found) return tl::unexpected(found.error());
    OpenFile file{std::ifstream(storage.files().path_of(found->id), std::ios::binary),
                  found->bytes};
    if (!file.stream) {
      return tl::unexpected(api::ApiError{500, "the file could not be read", "", "internal_error"});
    }
    return file;
  };
  auto file = co_await on_disk<OpenFile>(visit, open);
  if (!file) co_return co_await visit.send_error(std::move(file).error());
  net::Headers headers;
  headers.add("Content-Type", "application/octet-stream");
  headers.add("Content-Disposition", "attachment");
  if (!co_await visit.begin_stream(std::move(headers))) co_return;
  std::string piece;
  auto read = [&] { piece = read_piece(*file); };
  while (file->bytes_left > 0) {
    co_await run_on(visit.app().file_pool(), visit.executor(), read);
    // A stream without an end tells the client that it has not got all.
    if (piece.empty() || !co_await visit.exchange().write(piece)) co_return;
  }
  co_await visit.exchange().end_stream();
}

}  // namespace hachi::server
