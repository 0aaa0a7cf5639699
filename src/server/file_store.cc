#include "server/file_store.h"

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "api/fields.h"
#include "api/json_text.h"
#include "core/files.h"
#include "formats/json.h"
#include "server/data_folder.h"

namespace hachi::server {
namespace {

api::ApiError not_found(std::string_view id) {
  return {404, fmt::format("there is no file {}", api::shown(boost::json::string(id))), "id",
          "not_found"};
}

api::ApiError no_room() {
  return {507, "the server has no room for more files: delete some of yours", "", "storage_full"};
}

}  // namespace

std::filesystem::path FileStore::record_path(std::string_view id) const {
  return folder_ / (std::string(id) + ".json");
}

Result<FileStore::Entry> FileStore::read(const std::string& id) const {
  const std::filesystem::path path = record_path(id);
  TRY(const std::string text, read_file(path, kMaxRecordBytes));
  TRY(const auto object, formats::parse_json_object(text, path.string()));
  api::FirstError error;
  api::FieldReader fields(object, "", error);
  Entry entry;
  entry.file.id = id;
  entry.owner = fields.text("owner").value_or("");
  entry.created_us = fields.integer("created_us", api::kAnyInt64).value_or(0);
  entry.file.created_at = entry.created_us / kMicroseconds;
  entry.file.filename = fields.text("filename").value_or("");
  const auto purpose = fields.word("purpose", {"batch", "batch_output"});
  entry.file.purpose =
      purpose == "batch" ? api::FilePurpose::kBatch : api::FilePurpose::kBatchOutput;
  std::error_code failed;
  const uint64_t bytes = std::filesystem::file_size(path_of(id), failed);
  entry.file.bytes = fields.integer("bytes", {0, INT64_MAX}).value_or(0);
  if (error) return fail(Code::kCorrupt, "{}: {}", path.string(), error->message);
  if (failed || bytes != static_cast<uint64_t>(entry.file.bytes)) {
    return fail(Code::kCorrupt, "{}: the file beside it has not the {} bytes that it had",
                path.string(), entry.file.bytes);
  }
  return entry;
}

Result<void> FileStore::write(const Entry& entry) const {
  std::string text;
  api::ObjectWriter(text)
      .text("owner", entry.owner)
      .integer("created_us", entry.created_us)
      .text("filename", entry.file.filename)
      .text("purpose", api::to_string(entry.file.purpose))
      .integer("bytes", entry.file.bytes)
      .close();
  return write_record(record_path(entry.file.id), text);
}

Result<void> FileStore::load(std::span<const std::string> results) {
  const std::lock_guard lock(mutex_);
  TRY(const auto ids, record_ids(folder_, kFileId));
  std::set<std::string> known(results.begin(), results.end());
  for (const std::string& id : ids) {
    known.insert(id);  // one whose record cannot be read stays, for a person to look at
    if (auto entry = read(id)) files_[id] = *std::move(entry);
  }
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder_, error), end; at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    std::error_code ignored;
    if (is_id(kFileId, name) && !known.contains(name)) {
      std::filesystem::remove(at->path(), ignored);
    } else if (is_id(kFileId, name)) {
      const uint64_t bytes = at->file_size(ignored);
      used_bytes_ += ignored ? 0 : bytes;
    }
  }
  if (error) return fail(Code::kIo, "{}: cannot list it: {}", folder_.string(), error.message());
  return {};
}

api::ApiResult<api::FileObject> FileStore::add(const std::string& owner,
                                               const std::string& filename,
                                               std::string_view content, int64_t now_us) {
  {
    const std::lock_guard lock(mutex_);
    if (files_.size() >= kMaxFiles) return tl::unexpected(no_room());
  }
  if (!take_room(content.size())) return tl::unexpected(no_room());
  auto id = fresh_id(kFileId);
  Result<void> stored;
  if (id) stored = write_file(path_of(*id), content);
  api::FileObject file{.bytes = static_cast<int64_t>(content.size()),
                       .created_at = now_us / kMicroseconds,
                       .filename = filename,
                       .purpose = api::FilePurpose::kBatch};
  if (id && stored) {
    file.id = *id;
    stored = publish(owner, file, now_us);
    if (stored) return file;
    std::error_code ignored;
    std::filesystem::remove(path_of(*id), ignored);
  }
  give_back(content.size());
  return tl::unexpected(api::ApiError{500, "the file could not be written to the server's disk", "",
                                      "internal_error"});
}

Result<void> FileStore::publish(const std::string& owner, api::FileObject file, int64_t now_us) {
  file.created_at = now_us / kMicroseconds;
  Entry entry{std::move(file), owner, now_us};
  if (auto written = write(entry); !written) {
    std::error_code ignored;
    std::filesystem::remove(record_path(entry.file.id), ignored);
    return written;
  }
  const std::lock_guard lock(mutex_);
  std::string id = entry.file.id;
  files_.insert_or_assign(std::move(id), std::move(entry));
  return {};
}

const FileStore::Entry* FileStore::visible(std::string_view owner, const std::string& id) const {
  const auto found = files_.find(id);
  if (found == files_.end()) return nullptr;
  return owner.empty() || found->second.owner == owner ? &found->second : nullptr;
}

api::ApiResult<api::FileObject> FileStore::find(std::string_view owner,
                                                const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const Entry* entry = visible(owner, id);
  if (entry == nullptr) return tl::unexpected(not_found(id));
  return entry->file;
}

void FileStore::hold(const std::string& id) {
  const std::lock_guard lock(mutex_);
  ++holds_[id];
}

void FileStore::release(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto found = holds_.find(id);
  if (found != holds_.end() && --found->second == 0) holds_.erase(found);
}

api::ApiResult<void> FileStore::remove(std::string_view owner, const std::string& id) {
  const std::lock_guard lock(mutex_);
  const Entry* entry = visible(owner, id);
  if (entry == nullptr) return tl::unexpected(not_found(id));
  if (holds_.contains(id)) {
    return tl::unexpected(
        api::ApiError{409, fmt::format("the file '{}' belongs to a batch that has not ended", id),
                      "id", "file_in_use"});
  }
  std::error_code error;
  // The record first: what is left without one goes at the next start.
  if (!std::filesystem::remove(record_path(id), error) && error) {
    return tl::unexpected(
        api::ApiError{500, "the file could not be removed", "", "internal_error"});
  }
  std::filesystem::remove(path_of(id), error);
  used_bytes_ -= std::min(used_bytes_, static_cast<uint64_t>(entry->file.bytes));
  files_.erase(id);
  return {};
}

api::ApiResult<Page<api::FileObject>> FileStore::list(std::string_view owner,
                                                      const api::ListQuery& query) const {
  const std::lock_guard lock(mutex_);
  std::vector<Listed> all;
  for (const auto& [id, entry] : files_) {
    if (!owner.empty() && entry.owner != owner) continue;
    if (!query.purpose.empty() && api::to_string(entry.file.purpose) != query.purpose) continue;
    all.push_back({entry.created_us, id});
  }
  auto listed = page_of(std::move(all), query);
  if (!listed) return tl::unexpected(std::move(listed).error());
  Page<api::FileObject> page;
  for (const Listed& one : listed->items) page.items.push_back(files_.at(one.id).file);
  page.has_more = listed->has_more;
  return page;
}

Result<void> FileStore::take_room(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (used_bytes_ > max_bytes_ || bytes > max_bytes_ - used_bytes_) {
    return fail(Code::kLimit, "{}: no room for {} bytes more", folder_.string(), bytes);
  }
  used_bytes_ += bytes;
  return {};
}

void FileStore::give_back(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  used_bytes_ -= std::min(used_bytes_, bytes);
}

bool FileStore::has_room() const {
  const std::lock_guard lock(mutex_);
  return used_bytes_ < max_bytes_;
}

}  // namespace hachi::server
