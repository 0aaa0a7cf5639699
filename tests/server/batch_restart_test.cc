// Batches whose server ends in the middle: by a stop, and by a crash at any moment.
#include <fstream>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "server/batch_talk.h"

namespace hachi::server::testing {
namespace {

constexpr int kLines = 200;

FakeServerOptions slow(const std::filesystem::path& folder) {
  FakeServerOptions options = with_data(folder);
  options.app.models.engine.scheduler.max_sequences = 8;
  options.model.step_time = std::chrono::microseconds(500);
  return options;
}

// Every seventh line is refused.
std::string mixed_lines() {
  std::string text;
  for (int i = 0; i < kLines; ++i) {
    text += chat_line(i, i % 7 == 3 ? R"("top_p":7)" : R"("max_tokens":3)");
  }
  return text;
}

void expect_whole(FakeServer& server, const std::string& id) {
  const Reply batch = wait_for_end(server.port(), id);
  EXPECT_EQ(text_of(batch, "status"), "completed") << batch.body;
  EXPECT_EQ(count_of(batch, "total"), kLines);
  EXPECT_EQ(count_of(batch, "completed") + count_of(batch, "failed"), kLines);
  EXPECT_EQ(count_of(batch, "failed"), 29);
  expect_each_once(server.port(), batch, kLines);
}

TEST(BatchRestart, GoesOnAfterAStop) {
  const TempFolder folder;
  std::string id;
  {
    FakeServer server(slow(folder.path()));
    id = create_batch(server.port(), mixed_lines());
    ASSERT_TRUE(wait_for_results(server.port(), id, 20));
  }
  FakeServer server(slow(folder.path()));
  const Reply batch = get_batch(server.port(), id);
  EXPECT_EQ(text_of(batch, "status"), "in_progress");
  expect_whole(server, id);
}

TEST(BatchRestart, GoesOnFromBeforeItsValidation) {
  const TempFolder folder, crashed;
  std::string id;
  {
    FakeServer server(slow(folder.path()));
    server.gate.close();
    id = create_batch(server.port(), mixed_lines());
  }
  // As it was when it was made: its state never reached the disk again.
  const auto record = folder.path() / "batches" / (id + ".json");
  std::ifstream in(record);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const size_t at = text.find(R"("status":")");
  ASSERT_NE(at, std::string::npos);
  const size_t end = text.find('"', at + 10);
  text.replace(at + 10, end - at - 10, "validating");
  std::ofstream(record) << text;
  FakeServer server(slow(folder.path()));
  expect_whole(server, id);
}

// Cuts a file at a random place; the rest was never written, or reads as zeros.
void tear(const std::filesystem::path& path, std::mt19937& random) {
  const auto size = std::filesystem::file_size(path);
  if (size == 0) return;
  const auto cut = std::uniform_int_distribution<uint64_t>(0, size)(random);
  std::filesystem::resize_file(path, cut);
  if (random() % 2 == 0) std::filesystem::resize_file(path, size);
}

TEST(BatchRestart, GoesOnAfterACrashAtAnyMoment) {
  const TempFolder folder;
  FakeServer server(slow(folder.path()));
  const std::string id = create_batch(server.port(), mixed_lines());
  std::mt19937 random(20);
  for (int crash = 0; crash < 6; ++crash) {
    ASSERT_TRUE(wait_for_results(server.port(), id, 1 + 30 * crash));
    const TempFolder image;
    image.copy_from(folder.path());
    // Results are the files without a record that are not the input.
    for (const auto& entry : std::filesystem::directory_iterator(image.path() / "files")) {
      const auto name = entry.path().filename().string();
      const bool is_record = name.ends_with(".json");
      const bool has_record = std::filesystem::exists(entry.path().string() + ".json");
      if (!is_record && !has_record) tear(entry.path(), random);
    }
    std::ofstream(image.path() / "batches" / (id + ".json.partial-abcdef")) << "{";
    FakeServer after(slow(image.path()));
    expect_whole(after, id);
    EXPECT_FALSE(std::filesystem::exists(image.path() / "batches" / (id + ".json.partial-abcdef")));
  }
  expect_whole(server, id);
}

TEST(BatchRestart, FinishesWhatWasFinalizing) {
  const TempFolder folder;
  std::string id;
  {
    FakeServer server(with_data(folder.path()));
    id = create_batch(server.port(), mixed_lines());
    expect_whole(server, id);
  }
  // The last state was lost, after the results were made files.
  const auto record = folder.path() / "batches" / (id + ".json");
  std::ifstream in(record);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const size_t at = text.find(R"("status":"completed")");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 20, R"("status":"finalizing")");
  std::ofstream(record) << text;
  FakeServer server(with_data(folder.path()));
  expect_whole(server, id);
  EXPECT_EQ(server.num_loads(), 0);
}

TEST(BatchRestart, ExpiresWhatWasOverMeanwhile) {
  const TempFolder folder;
  std::string id;
  {
    FakeServer server(slow(folder.path()));
    id = create_batch(server.port(), mixed_lines());
    ASSERT_TRUE(wait_for_results(server.port(), id, 5));
  }
  const auto ahead = std::make_shared<std::atomic<int64_t>>(kWindowSeconds + 1);
  FakeServer server(with_data(folder.path(), ahead));
  const Reply batch = wait_for_end(server.port(), id);
  EXPECT_EQ(text_of(batch, "status"), "expired");
  EXPECT_EQ(server.num_loads(), 0);
  expect_each_once(server.port(), batch, kLines);
}

TEST(BatchRestart, LeavesRecordsAloneThatCannotBeRead) {
  const TempFolder folder;
  std::filesystem::create_directories(folder.path() / "batches");
  const auto broken = folder.path() / "batches" / "batch_00000000000000000000000000000000.json";
  std::ofstream(broken) << "{\"batch\":";
  FakeServer server(with_data(folder.path()));
  EXPECT_EQ(ask(server.port(), http("GET", "/v1/batches", "")).json().at("data").as_array().size(),
            0u);
  EXPECT_TRUE(std::filesystem::exists(broken));
}

}  // namespace
}  // namespace hachi::server::testing
