#include "formats/gguf.h"

#include <functional>

#include <gtest/gtest.h>

#include "formats/checkpoint.h"
#include "formats/gguf_bytes.h"
#include "formats/temp_folder.h"

namespace hachi::formats {
namespace {

constexpr uint64_t kHuge = uint64_t{1} << 63;

// Two pairs, and two tensors of which the first needs padding.
GgufBytes small() {
  GgufBytes file;
  file.string("general.architecture", "qwen3").u32("qwen3.block_count", 2);
  file.f32_tensor("a", {3}, {1, 2, 3}).f32_tensor("b", {2, 4}, {0, 1, 2, 3, 4, 5, 6, 7});
  return file;
}

std::string error_of(std::string_view bytes) {
  const auto parsed = parse_gguf(as_bytes(bytes), "f");
  return parsed ? "no error" : parsed.error().message;
}
std::string error_of(const GgufBytes& file) { return error_of(file.bytes()); }

// The error of the small file after a change.
std::string error_after(const std::function<void(GgufBytes&)>& change) {
  GgufBytes file = small();
  change(file);
  return error_of(file);
}

#define EXPECT_ERROR(expression, part) \
  EXPECT_NE((expression).find(part), std::string::npos) << (expression)

TEST(Gguf, ReadsPairsAndTensors) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBytes file = small();
    file.version = version;
    const std::string bytes = file.bytes();
    const auto parsed = parse_gguf(as_bytes(bytes), "f");
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(**parsed->metadata.string("general.architecture"), "qwen3");
    EXPECT_EQ(**parsed->metadata.integer("qwen3.block_count"), 2);
    ASSERT_EQ(parsed->tensors.size(), 2u);
    EXPECT_EQ(parsed->tensors[0].name, "a");
    EXPECT_EQ(parsed->tensors[0].data.rank(), 1);
    const ConstTensor b = parsed->tensors[1].data;
    EXPECT_EQ(b.size(0), 2);
    EXPECT_EQ(b.size(1), 4);
    EXPECT_EQ(b.row<float>(1)[0], 4.0f);
  }
}

TEST(Gguf, ReadsEachTypeOfValue) {
  using namespace gguf_type;
  GgufBytes file;
  file.raw("u8", kU8, bytes_of<uint8_t>(200)).raw("i8", kI8, bytes_of<int8_t>(-5));
  file.raw("u16", kU16, bytes_of<uint16_t>(60000)).raw("i16", kI16, bytes_of<int16_t>(-6));
  file.u32("u32", 4000000000u).raw("i32", kI32, bytes_of<int32_t>(-7)).f32("f32", 0.5f);
  file.boolean("yes", true).boolean("no", false).string("s", "text");
  file.u64("u64", UINT64_MAX).raw("i64", kI64, bytes_of(INT64_MIN)).raw("f64", kF64, bytes_of(0.1));
  file.strings("strings", {"a", "", "c"}).i32s("ints", {-1, 2}).f32s("floats", {0.25f});
  file.raw_list("bools", kBool, 2, std::string("\1\0", 2)).raw_list("none", kString, 0, "");
  file.raw_list("lists", kList, 1, bytes_of(kU8) + bytes_of(uint64_t{2}) + "xy");
  const std::string bytes = file.bytes();
  const auto parsed = parse_gguf(as_bytes(bytes), "f");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const Metadata& metadata = parsed->metadata;
  const auto integer = [&](std::string_view key) { return **metadata.integer(key); };
  EXPECT_EQ(integer("u8"), 200);
  EXPECT_EQ(integer("i8"), -5);
  EXPECT_EQ(integer("u16"), 60000);
  EXPECT_EQ(integer("i16"), -6);
  EXPECT_EQ(integer("u32"), 4000000000);
  EXPECT_EQ(integer("i32"), -7);
  EXPECT_EQ(integer("i64"), INT64_MIN);
  EXPECT_EQ(std::get<uint64_t>(*metadata.find("u64")), UINT64_MAX);
  EXPECT_EQ(**metadata.number("f32"), 0.5);
  EXPECT_EQ(**metadata.number("f64"), 0.1);
  EXPECT_TRUE(**metadata.boolean("yes"));
  EXPECT_FALSE(**metadata.boolean("no"));
  EXPECT_EQ(**metadata.string("s"), "text");
  EXPECT_EQ(*metadata.strings("strings"), (std::vector<std::string_view>{"a", "", "c"}));
  EXPECT_TRUE(metadata.strings("none")->empty());
  EXPECT_EQ(*metadata.integers("ints"), (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(*metadata.numbers("floats"), (std::vector<double>{0.25}));
  EXPECT_EQ(*metadata.integers("bools"), (std::vector<int64_t>{1, 0}));
  EXPECT_TRUE(std::holds_alternative<Composite>(*metadata.find("lists")));
  // Strings are views into the file.
  const char* text = metadata.strings("strings")->at(0).data();
  EXPECT_TRUE(text >= bytes.data() && text < bytes.data() + bytes.size());
}

TEST(Gguf, TensorsMayLieInAnyOrder) {
  GgufBytes file;
  file.f32_tensor("b", {8}, {0, 1, 2, 3, 4, 5, 6, 7})
      .f32_tensor("a", {8}, {8, 9, 0, 0, 0, 0, 0, 0});
  file.tensors[0].offset = 32;
  file.tensors[1].offset = 0;
  const std::string bytes = file.bytes();
  const auto parsed = parse_gguf(as_bytes(bytes), "f");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->tensors[0].name, "b");
  EXPECT_EQ(parsed->tensors[0].data.as<float>()[0], 8.0f);
}

TEST(Gguf, FollowsTheStatedAlignment) {
  for (const uint32_t alignment : {8u, 64u, 65536u}) {
    GgufBytes file = small();
    file.alignment = alignment;
    file.u32("general.alignment", alignment);
    const std::string bytes = file.bytes();
    const auto parsed = parse_gguf(as_bytes(bytes), "f");
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->tensors[1].data.as<float>()[7], 7.0f);
  }
  for (const uint32_t alignment : {0u, 1u, 3u, 4u, 24u, 131072u, 1u << 31}) {
    EXPECT_ERROR(error_after([&](GgufBytes& f) { f.u32("general.alignment", alignment); }),
                 "not a power of two");
  }
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.string("general.alignment", "32"); }),
               "is a string");
}

TEST(Gguf, EachTruncationIsAnError) {
  const std::string whole = small().bytes();
  ASSERT_EQ(error_of(whole), "no error");
  ASSERT_EQ(whole.size() % 32, 0u);  // the last tensor ends the file, no padding to lose
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(error_of(whole.substr(0, length)), "no error") << length;
  }
}

TEST(Gguf, HeadersAreChecked) {
  EXPECT_ERROR(error_of("GGML" + std::string(100, '\0')), "not a GGUF file");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.version = 1; }), "version 1");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.version = 0; }), "version 0");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.version = 4; }), "version 4");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.version = 0x03000000; }), "big-endian");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.num_tensors = kHuge; }), "tensors, more than");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.num_pairs = kHuge; }), "pairs, more than");
  EXPECT_NE(error_after([](GgufBytes& f) { f.num_tensors = 60000; }), "no error");
  EXPECT_NE(error_after([](GgufBytes& f) { f.num_pairs = 60000; }), "no error");
}

TEST(Gguf, PairsAreChecked) {
  using namespace gguf_type;
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.u32("qwen3.block_count", 2); }), "there twice");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.u32("", 2); }), "not printable");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.u32("a\x1B[2J", 2); }), "\\x1B");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.u32(std::string(2000, 'k'), 2); }), "allowed");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.raw("k", 13, "xxxxxxxx"); }), "unknown type 13");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.raw("k", kBool, "\2"); }), "bool of value 2");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.raw_list("k", kBool, 1, "\2"); }),
               "bool of value 2");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.string("k", "a\xFF"); }), "not UTF-8");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.strings("k", {"a", "\xC0\x80"}); }), "not UTF-8");
  // A length that overflows when the position is added.
  for (const uint64_t length : {kHuge, UINT64_MAX, UINT64_MAX - 100, uint64_t{1} << 20}) {
    EXPECT_NE(error_after([&](GgufBytes& f) { f.raw("k", kString, bytes_of(length)); }),
              "no error");
    EXPECT_NE(error_of("GGUF" + bytes_of(3u) + bytes_of(uint64_t{0}) + bytes_of(uint64_t{1}) +
                       bytes_of(length) + "key"),
              "no error");
  }
}

TEST(Gguf, ListsAreChecked) {
  using namespace gguf_type;
  for (uint32_t type = kU8; type <= kF64; ++type) {
    // Among them counts whose product with the size of an element wraps around to few bytes.
    for (const uint64_t count :
         {uint64_t{1} << 61, (uint64_t{1} << 61) + 1, (uint64_t{1} << 62) + 1, kHuge, UINT64_MAX}) {
      EXPECT_ERROR(error_after([&](GgufBytes& f) { f.raw_list("k", type, count, "xxxxxxxx"); }),
                   "more than the rest of the file");
    }
  }
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.raw_list("k", kU64, 1, bytes_of(UINT64_MAX)); }),
               "2^63 - 1");
  EXPECT_ERROR(error_after([](GgufBytes& f) {
                 f.raw_list("k", kU8, (1 << 23) + 1, std::string((1 << 23) + 1, 'x'));
               }),
               "elements allowed");
  const auto nested = [](int depth) {
    std::string payload;
    for (int i = 1; i < depth; ++i) payload += bytes_of(kList) + bytes_of(uint64_t{1});
    return payload + bytes_of(kU8) + bytes_of(uint64_t{0});
  };
  EXPECT_EQ(error_after([&](GgufBytes& f) { f.raw("k", kList, nested(4)); }), "no error");
  EXPECT_ERROR(error_after([&](GgufBytes& f) { f.raw("k", kList, nested(5)); }), "deep");
  EXPECT_ERROR(error_after([&](GgufBytes& f) { f.raw("k", kList, nested(100000)); }), "deep");
}

TEST(Gguf, TensorsAreChecked) {
  const auto with_sizes = [](std::vector<uint64_t> sizes, uint32_t type = 0) {
    return error_after([&](GgufBytes& f) { f.tensor("t", sizes, type, std::string(256, 'x')); });
  };
  EXPECT_ERROR(with_sizes({}), "0 dimensions");
  EXPECT_ERROR(with_sizes({1, 1, 1, 1, 1}), "5 dimensions");
  EXPECT_ERROR(with_sizes({0}), "dimension of 0");
  EXPECT_ERROR(with_sizes({0, 4}), "dimension of 0");
  EXPECT_ERROR(with_sizes({4, 0}), "dimension of 0");
  EXPECT_ERROR(with_sizes({uint64_t{1} << 62}), "overflow");
  EXPECT_ERROR(with_sizes({UINT64_MAX}), "overflow");
  EXPECT_ERROR(with_sizes({uint64_t{1} << 32, uint64_t{1} << 32}), "overflow");
  EXPECT_ERROR(with_sizes({uint64_t{1} << 40}), "cut short");
  EXPECT_ERROR(with_sizes({48}, gguf_type::kTensorQ4_0), "not a multiple of Q4_0's 32");
  EXPECT_ERROR(with_sizes({2, 128}, gguf_type::kTensorQ4_K), "not a multiple of Q4_K's 256");
  EXPECT_ERROR(with_sizes({256}, 19), "tensor 't' is of type IQ1_S");
  EXPECT_ERROR(with_sizes({256}, 40), "unknown type 40");
  EXPECT_ERROR(with_sizes({256}, UINT32_MAX), "unknown type");
  // A rank that would have the reader skip over the rest of the file.
  const std::string header = "GGUF" + bytes_of(3u) + bytes_of(uint64_t{1}) + bytes_of(uint64_t{0});
  EXPECT_ERROR(error_of(header + gguf_string("t") + bytes_of(UINT32_MAX) + std::string(64, '\0')),
               "dimensions");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.f32_tensor("a", {1}, {1}); }),
               "two tensors named 'a'");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.f32_tensor("", {1}, {1}); }), "name");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.f32_tensor("\xFF", {1}, {1}); }), "name");
  EXPECT_ERROR(error_after([](GgufBytes& f) { f.f32_tensor(std::string(300, 'n'), {1}, {1}); }),
               "allowed");
}

TEST(Gguf, PanelsAreChecked) {
  using namespace gguf_type;
  const auto with_panels = [](std::vector<uint64_t> sizes, uint32_t type, size_t bytes) {
    return error_after([&](GgufBytes& f) {
      f.tensor("t", sizes, kGgufPanelTypes + type, std::string(bytes, 'x'));
    });
  };
  EXPECT_EQ(with_panels({16, 32}, kTensorQ4_0, 16 * 18), "no error");
  EXPECT_EQ(with_panels({17, 32}, kTensorQ4_0, 32 * 18), "no error");
  EXPECT_ERROR(with_panels({17, 32}, kTensorQ4_0, 17 * 18), "cut short");
  EXPECT_ERROR(with_panels({16, 32}, kTensorQ4_0, 14 * 18), "cut short");
  EXPECT_ERROR(with_panels({16, 48}, kTensorQ4_0, 1024), "not a multiple of Q4_0's 32");
  EXPECT_ERROR(with_panels({32}, kTensorQ4_0, 16 * 18), "has 1 dimensions, not 2");
  EXPECT_ERROR(with_panels({1, 16, 32}, kTensorQ4_0, 16 * 18), "has 3 dimensions, not 2");
  EXPECT_ERROR(with_panels({0, 32}, kTensorQ4_0, 16 * 18), "dimension of 0");
  EXPECT_ERROR(with_panels({UINT64_MAX, 32}, kTensorQ4_0, 16 * 18), "overflow");
  EXPECT_ERROR(with_panels({uint64_t{1} << 55, 32}, kTensorQ8_0, 1024), "cut short");
  EXPECT_ERROR(with_panels({uint64_t{1} << 59, 32}, kTensorQ8_0, 1024), "overflow");
  EXPECT_ERROR(with_panels({16, UINT64_MAX - 31}, kTensorQ4_0, 1024), "overflow");
  EXPECT_ERROR(with_panels({16, 256}, 19, 1024), "is of type IQ1_S");
  EXPECT_ERROR(with_panels({16, 256}, 40, 1024), "unknown type 1213202472");
}

TEST(Gguf, PanelsAreNotRows) {
  GgufBytes file;
  file.tensor("p", {3, 2}, kGgufPanelTypes + gguf_type::kTensorF16, std::string(64, 'x'));
  file.f32_tensor("after", {1}, {1});
  const std::string bytes = file.bytes();
  const auto parsed = parse_gguf(as_bytes(bytes), "f");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const TensorEntry& entry = parsed->tensors[0];
  EXPECT_FALSE(entry.data);
  EXPECT_EQ(entry.data.dtype(), DType::kF16);
  EXPECT_EQ(entry.data.size(0), 3);
  EXPECT_EQ(entry.data.size(1), 2);
  EXPECT_EQ(reinterpret_cast<const char*>(entry.panels)[63], 'x');
  EXPECT_EQ(parsed->tensors[1].panels, nullptr);
}

TEST(Gguf, OffsetsAreChecked) {
  const auto with_offset = [](uint64_t offset) {
    return error_after([&](GgufBytes& f) { f.tensors[1].offset = offset; });
  };
  EXPECT_EQ(with_offset(32), "no error");
  EXPECT_ERROR(with_offset(0), "overlap");
  EXPECT_ERROR(with_offset(16), "overlap");  // neither aligned nor clear of the first tensor
  EXPECT_ERROR(with_offset(64), "leave room");
  EXPECT_ERROR(with_offset(kHuge), "leave room");
  EXPECT_ERROR(with_offset(UINT64_MAX), "leave room");
}

TEST(GgufSet, OpensAllPartsFromAny) {
  const TempFolder folder;
  const auto part = [](uint16_t number, std::string_view tensor) {
    GgufBytes file;
    if (number == 0) file.string("general.architecture", "qwen3");
    file.raw("split.no", gguf_type::kU16, bytes_of(number));
    file.raw("split.count", gguf_type::kU16, bytes_of<uint16_t>(2));
    file.raw("split.tensors.count", gguf_type::kI32, bytes_of<int32_t>(2));
    file.f32_tensor(tensor, {1}, {number + 0.5f});
    return file.bytes();
  };
  const auto first = folder.write("m-00001-of-00002.gguf", part(0, "a"));
  EXPECT_ERROR(Checkpoint::open(first).error().message, "it is part 2 of 2 of one model");
  const auto second = folder.write("m-00002-of-00002.gguf", part(1, "b"));
  for (const auto& path : {first, second}) {
    const auto opened = Checkpoint::open(path);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(**opened->metadata().string("general.architecture"), "qwen3");
    EXPECT_EQ(opened->tensors().size(), 2u);
    EXPECT_EQ(opened->find("b")->data.as<float>()[0], 1.5f);
    EXPECT_EQ(opened->file_bytes(),
              std::filesystem::file_size(first) + std::filesystem::file_size(second));
  }
  folder.write("m-00002-of-00002.gguf", part(1, "a"));
  EXPECT_ERROR(Checkpoint::open(first).error().message, "two tensors named 'a'");
  folder.write("m-00002-of-00002.gguf", part(0, "b"));
  EXPECT_ERROR(Checkpoint::open(first).error().message, "says that it is part 1 of 2, not 2");
  const auto renamed = folder.write("model.gguf", part(0, "a"));
  EXPECT_ERROR(Checkpoint::open(renamed).error().message, "name must end in -00001-of-00002.gguf");
  folder.write("m-00002-of-00002.gguf", small().bytes());
  EXPECT_ERROR(Checkpoint::open(first).error().message, "says that it is part 1 of 1, not 2");
}

TEST(GgufSet, CountsTensorsAndParts) {
  const TempFolder folder;
  const auto open = [&](int32_t no, int32_t count, int32_t tensors) {
    GgufBytes file = small();
    file.raw("split.no", gguf_type::kI32, bytes_of(no));
    file.raw("split.count", gguf_type::kI32, bytes_of(count));
    file.raw("split.tensors.count", gguf_type::kI32, bytes_of(tensors));
    const auto opened = Checkpoint::open(folder.write("m.gguf", file.bytes()));
    return opened ? "no error" : opened.error().message;
  };
  EXPECT_EQ(open(0, 1, 2), "no error");
  EXPECT_EQ(open(0, 0, 0), "no error");
  EXPECT_ERROR(open(2, 2, 2), "split.no 2 is not one");
  EXPECT_ERROR(open(-1, 2, 2), "split.no -1 is not one");
  EXPECT_ERROR(open(0, -1, 2), "split.count -1");
  EXPECT_ERROR(open(0, 1 << 30, 2), "at most 1024");
  const auto path = folder.write("s-00001-of-00002.gguf", "");
  for (const uint16_t number : {uint16_t{0}, uint16_t{1}}) {
    GgufBytes file;
    file.raw("split.no", gguf_type::kU16, bytes_of(number));
    file.raw("split.count", gguf_type::kU16, bytes_of<uint16_t>(2));
    file.raw("split.tensors.count", gguf_type::kI32, bytes_of<int32_t>(3));
    file.f32_tensor(number == 0 ? "a" : "b", {1}, {0});
    folder.write(fmt::format("s-{:05}-of-00002.gguf", number + 1), file.bytes());
  }
  EXPECT_ERROR(Checkpoint::open(path).error().message, "should have 3 tensors and has 2");
}

TEST(Checkpoint, ViewsSurviveAMove) {
  const TempFolder folder;
  const auto path =
      folder.write("m.gguf", small().string("tokenizer.chat_template", "{{ messages }}").bytes());
  auto opened = Checkpoint::open(path);
  ASSERT_TRUE(opened) << opened.error().message;
  const TensorEntry* entry = opened->find("b");
  const Checkpoint moved = *std::move(opened);
  EXPECT_EQ(moved.find("b"), entry);
  EXPECT_EQ(entry->data.as<float>()[5], 5.0f);
  EXPECT_EQ(moved.kind(), Kind::kGguf);
  EXPECT_EQ(moved.path(), path);
  EXPECT_EQ(moved.chat_template(), "{{ messages }}");
  EXPECT_EQ(moved.find("c"), nullptr);
  EXPECT_TRUE(moved.tokenizer_json().empty());
}

}  // namespace
}  // namespace hachi::formats
