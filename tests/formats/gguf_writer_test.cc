#include "formats/gguf_writer.h"

#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <sys/resource.h>

#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "temp_folder.h"

namespace hachi::formats {
namespace {

std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

GgufPairList every_type() {
  GgufPairList pairs;
  pairs.set("general.architecture", "test");
  pairs.set<uint8_t>("u8", 255);
  pairs.set<int8_t>("i8", -128);
  pairs.set<uint16_t>("u16", 65535);
  pairs.set<int16_t>("i16", -32768);
  pairs.set<uint32_t>("u32", 4294967295U);
  pairs.set<int32_t>("i32", std::numeric_limits<int32_t>::min());
  pairs.set<uint64_t>("u64", std::numeric_limits<uint64_t>::max());
  pairs.set<int64_t>("i64", std::numeric_limits<int64_t>::min());
  pairs.set("f32", 0.5f);
  pairs.set("f64", 0.1);
  pairs.set("bool", true);
  pairs.set("string", "w\u00F6rt");
  pairs.set_list<int16_t>("i16s", {-1, 2});
  pairs.set_list<uint64_t>("u64s", {1, 2, 3});
  pairs.set_list<float>("f32s", {});
  pairs.set_list<double>("f64s", {0.25, -4});
  pairs.set_list<bool>("bools", {true, false, true});
  pairs.set_list("strings", {"", "a", "bc"});
  return pairs;
}

const std::vector<GgufTensor> kTensors = {{"vector", DType::kF32, {3}},
                                          {"matrix", DType::kQ8_0, {2, 32}},
                                          {"cube", DType::kF16, {2, 1, 3}}};

std::string some_bytes(const GgufTensor& tensor) {
  std::string bytes(tensor.bytes(), '\0');
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<char>(i * 7 + tensor.name.size());
  return bytes;
}

Result<void> write_all(const std::filesystem::path& path, const GgufPairList& pairs,
                       uint64_t alignment = kGgufAlignment) {
  TRY(GgufWriter writer, GgufWriter::create(path, pairs, kTensors, alignment));
  for (const GgufTensor& tensor : kTensors) {
    const std::string bytes = some_bytes(tensor);
    TRY(writer.write(as_bytes(bytes).first(5)));
    TRY(writer.write(as_bytes(bytes).subspan(5)));
  }
  TRY(writer.finish());
  EXPECT_EQ(std::filesystem::file_size(path), writer.file_bytes());
  return {};
}

TEST(GgufWriter, EveryTypeComesBack) {
  const TempFolder folder;
  const auto path = folder.path() / "all.gguf";
  ASSERT_TRUE(write_all(path, every_type()));
  const auto checkpoint = Checkpoint::open(path);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const Metadata& meta = checkpoint->metadata();
  EXPECT_EQ(*meta.integer("u8"), 255);
  EXPECT_EQ(*meta.integer("i8"), -128);
  EXPECT_EQ(*meta.integer("u16"), 65535);
  EXPECT_EQ(*meta.integer("i16"), -32768);
  EXPECT_EQ(*meta.integer("u32"), 4294967295);
  EXPECT_EQ(*meta.integer("i32"), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(std::get<uint64_t>(*meta.find("u64")), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(*meta.integer("i64"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(*meta.number("f32"), 0.5);
  EXPECT_EQ(*meta.number("f64"), 0.1);
  EXPECT_EQ(*meta.boolean("bool"), true);
  EXPECT_EQ(*meta.string("string"), "w\u00F6rt");
  EXPECT_EQ(*meta.integers("i16s"), (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(*meta.integers("u64s"), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_TRUE(meta.numbers("f32s")->empty());
  EXPECT_EQ(*meta.numbers("f64s"), (std::vector<double>{0.25, -4}));
  EXPECT_EQ(*meta.integers("bools"), (std::vector<int64_t>{1, 0, 1}));
  EXPECT_EQ(*meta.strings("strings"), (std::vector<std::string_view>{"", "a", "bc"}));
  ASSERT_EQ(checkpoint->tensors().size(), kTensors.size());
  for (const GgufTensor& tensor : kTensors) {
    const TensorEntry* entry = checkpoint->find(tensor.name);
    ASSERT_NE(entry, nullptr);
    EXPECT_EQ(entry->data.dtype(), tensor.dtype);
    ASSERT_EQ(entry->data.rank(), static_cast<int>(tensor.sizes.size()));
    EXPECT_EQ(entry->data.size(0), tensor.sizes[0]);
    const std::string bytes = some_bytes(tensor);
    EXPECT_EQ(std::memcmp(entry->data.data(), bytes.data(), bytes.size()), 0);
  }
}

TEST(GgufWriter, RawPairsMakeTheSameFileAgain) {
  const TempFolder folder;
  const auto first = folder.path() / "first.gguf";
  const auto second = folder.path() / "second.gguf";
  ASSERT_TRUE(write_all(first, every_type()));
  const auto checkpoint = Checkpoint::open(first);
  ASSERT_TRUE(checkpoint);
  GgufPairList pairs;
  for (const RawPair& pair : checkpoint->raw_pairs()) pairs.set(pair);
  ASSERT_TRUE(write_all(second, pairs));
  EXPECT_EQ(contents_of(first), contents_of(second));
}

TEST(GgufWriter, PairsAreReplacedAndErased) {
  GgufPairList pairs;
  pairs.set("a", "1");
  pairs.set<uint32_t>("b", 2);
  pairs.set<uint32_t>("a", 3);
  pairs.erase("b");
  EXPECT_TRUE(pairs.contains("a"));
  EXPECT_FALSE(pairs.contains("b"));
  const std::string header = gguf_header(pairs, {});
  const auto parsed = parse_gguf(as_bytes(header), "test");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed->metadata.integer("a"), 3);
  EXPECT_EQ(parsed->raw_pairs.size(), 1U);
}

TEST(GgufWriter, OtherAlignmentsAreSaid) {
  const TempFolder folder;
  const auto path = folder.path() / "wide.gguf";
  ASSERT_TRUE(write_all(path, every_type(), 256));
  const auto checkpoint = Checkpoint::open(path);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  EXPECT_EQ(*checkpoint->metadata().integer("general.alignment"), 256);
}

TEST(GgufWriter, LeavesNothingUnlessFinished) {
  const TempFolder folder;
  const auto path = folder.path() / "half.gguf";
  {
    auto writer = GgufWriter::create(path, {}, kTensors);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->write(as_bytes(some_bytes(kTensors[0]))));
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(GgufWriter, NoRoomIsASentence) {
  const TempFolder folder;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto path = folder.path() / "large.gguf";
  Result<void> written;
  {
    auto writer = GgufWriter::create(path, {}, {{"big", DType::kF32, {100, 100}}});
    ASSERT_TRUE(writer);
    written = writer->write(std::vector<std::byte>(40000));
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kIo);
  EXPECT_NE(written.error().message.find(path.string()), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  const auto nowhere = GgufWriter::create(folder.path() / "none" / "x.gguf", {}, {});
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Code::kNotFound);
}

}  // namespace
}  // namespace hachi::formats
