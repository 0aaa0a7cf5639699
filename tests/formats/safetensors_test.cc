#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include "formats/gguf_bytes.h"

namespace hachi::formats {
namespace {

constexpr std::string_view kTwo =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,2],"data_offsets":[8,16]},)"
    R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

std::string error_of(std::string_view bytes) {
  const auto parsed = parse_safetensors(as_bytes(bytes), "f");
  return parsed ? "no error" : parsed.error().message;
}

// The error of one tensor's entry over `data_bytes` of data.
std::string error_of_entry(std::string_view fields, size_t data_bytes) {
  return error_of(
      safetensors_bytes(fmt::format(R"({{"t":{{{}}}}})", fields), std::string(data_bytes, '\0')));
}

#define EXPECT_ERROR(expression, part) \
  EXPECT_NE((expression).find(part), std::string::npos) << (expression)

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const std::string bytes = safetensors_bytes(
      std::string(kTwo), bytes_of(1.5f) + bytes_of(-2.0f) + bytes_of(uint64_t{0x0102030405060708}));
  const auto parsed = parse_safetensors(as_bytes(bytes), "f");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->tensors.size(), 2u);
  EXPECT_EQ(parsed->tensors[0].name, "a");
  EXPECT_EQ(parsed->tensors[0].data.as<float>()[1], -2.0f);
  const ConstTensor b = parsed->tensors[1].data;
  EXPECT_EQ(b.dtype(), DType::kBF16);
  EXPECT_EQ(b.rank(), 2);
  EXPECT_EQ(b.as<uint16_t>()[0], 0x0708);
}

TEST(Safetensors, AScalarHasOneElement) {
  const auto bytes =
      safetensors_bytes(R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})", bytes_of(0.5f));
  const auto parsed = parse_safetensors(as_bytes(bytes), "f");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->tensors[0].data.size(0), 1);
}

TEST(Safetensors, AWideWholeNumberIsTwo) {
  const auto bytes = safetensors_bytes(R"({"s":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}})",
                                       bytes_of(int64_t{7} << 32 | 5) + bytes_of(int64_t{-1}));
  const auto parsed = parse_safetensors(as_bytes(bytes), "f");
  ASSERT_TRUE(parsed) << parsed.error().message;
  const ConstTensor wide = parsed->tensors[0].data;
  EXPECT_EQ(wide.dtype(), DType::kI32);
  ASSERT_EQ(wide.size(0), 4);
  EXPECT_EQ(wide.as<int32_t>()[0], 5);
  EXPECT_EQ(wide.as<int32_t>()[1], 7);
  EXPECT_EQ(wide.as<int32_t>()[3], -1);
}

TEST(Safetensors, EachTruncationIsAnError) {
  const std::string whole = safetensors_bytes(std::string(kTwo), std::string(16, 'x'));
  ASSERT_EQ(error_of(whole), "no error");
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(error_of(whole.substr(0, length)), "no error") << length;
  }
  EXPECT_ERROR(error_of(whole + "x"), "1 bytes follow the last tensor");
}

TEST(Safetensors, TheHeaderMayNotLieAboutItsLength) {
  const std::string rest = safetensors_bytes(std::string(kTwo), std::string(16, 'x')).substr(8);
  for (const uint64_t length : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 31, uint64_t{1} << 63,
                                UINT64_MAX, uint64_t{rest.size()} + 1}) {
    EXPECT_NE(error_of(bytes_of(length) + rest), "no error") << length;
  }
}

TEST(Safetensors, OffsetsMatchTheShape) {
  EXPECT_EQ(error_of_entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])", 8), "no error");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4),
               "8 bytes by its shape and 4");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])", 8), "begin");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[2],"data_offsets":[0])", 8), "begin");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,8])", 8), "begin");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[2],"data_offsets":[-8,0])", 8),
               "whole numbers");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,8.0])", 8),
               "whole numbers");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[2],"data_offsets":[8,16])", 16), "0 is");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[4],"data_offsets":[0,16])", 8), "cut");
}

TEST(Safetensors, ShapesAreChecked) {
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[0],"data_offsets":[0,0])", 0),
               "dimension of 0");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])", 4),
               "whole numbers");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":2,"data_offsets":[0,8])", 8),
               "whole numbers");
  EXPECT_ERROR(error_of_entry(R"("dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4])", 4),
               "5 dimensions");
  EXPECT_ERROR(
      error_of_entry(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0])", 0),
      "overflow");
  EXPECT_ERROR(
      error_of_entry(R"("dtype":"F16","shape":[4294967296,4294967296],"data_offsets":[0,0])", 0),
      "overflow");
}

TEST(Safetensors, TypesAreChecked) {
  EXPECT_ERROR(error_of_entry(R"("dtype":"U64","shape":[1],"data_offsets":[0,8])", 8),
               "tensor 't' is of dtype 'U64'");
  EXPECT_ERROR(
      error_of_entry(R"("dtype":"I64","shape":[9223372036854775808],"data_offsets":[0,8])", 8),
      "the sizes of tensor 't' overflow");
  EXPECT_ERROR(error_of_entry(R"("dtype":1,"shape":[1],"data_offsets":[0,8])", 8), "no dtype");
  EXPECT_ERROR(error_of_entry(R"("shape":[1],"data_offsets":[0,8])", 8), "no dtype");
  EXPECT_ERROR(error_of(safetensors_bytes(R"({"t":[]})", "")), "not an object");
  EXPECT_ERROR(error_of(safetensors_bytes("[]", "")), "not an object");
}

TEST(Safetensors, TensorsNeitherOverlapNorRepeat) {
  EXPECT_ERROR(
      error_of(safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                                 R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                                 std::string(12, 'x'))),
      "overlap");
  EXPECT_ERROR(
      error_of(safetensors_bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                                 R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                                 std::string(8, 'x'))),
      "the key 'a' is twice");
  EXPECT_ERROR(
      error_of(safetensors_bytes(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]},)"
                                 R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
                                 std::string(5, 'x'))),
      "multiple of its 4 bytes");
  EXPECT_ERROR(error_of(safetensors_bytes(
                   R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "xxxx")),
               "name");
}

}  // namespace
}  // namespace hachi::formats
