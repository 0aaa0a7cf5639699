#include "server/multipart.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hachi::server {
namespace {

constexpr std::string_view kType = "multipart/form-data; boundary=x";

std::string part(std::string_view head, std::string_view content) {
  return fmt::format("--x\r\n{}\r\n\r\n{}\r\n", head, content);
}

std::string named(std::string_view name, std::string_view content) {
  return part(fmt::format("Content-Disposition: form-data; name=\"{}\"", name), content);
}

bool is_form(std::string_view body, std::string_view type = kType) {
  return parse_multipart(type, body).has_value();
}

TEST(Multipart, TakesPartsApart) {
  const std::string_view content = "one\r\n--\r\n-x\n--x\r\n";
  const std::string body =
      named("a", "") +
      part(
          "content-type: text/plain\r\nCONTENT-DISPOSITION:form-data ; filename=\"a\\\"b; c\" ;"
          " name=f",
          content) +
      part("Content-Disposition: form-data; name=\"g\"; filename*=utf-8''%e2%82%ac", "2") +
      "--x--\r\n";
  const auto parts = parse_multipart("Multipart/Form-Data; charset=utf-8; Boundary=\"x\"", body);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 3u);
  EXPECT_EQ((*parts)[0].name, "a");
  EXPECT_EQ((*parts)[0].content, "");
  EXPECT_FALSE((*parts)[0].is_file);
  EXPECT_EQ((*parts)[1].name, "f");
  EXPECT_EQ((*parts)[1].filename, "a\\\"b; c");
  EXPECT_EQ((*parts)[1].content, content);
  EXPECT_TRUE((*parts)[1].is_file);
  EXPECT_TRUE((*parts)[2].is_file);
  EXPECT_EQ((*parts)[2].filename, "");
  EXPECT_EQ((*parts)[2].content, "2");
  // A line that begins with the boundary ends the part, whatever it was meant as.
  EXPECT_FALSE(is_form(named("a", "b\r\n--xy") + "--x--"));
}

TEST(Multipart, RefusesOtherTypes) {
  const std::string body = named("a", "1") + "--x--";
  EXPECT_TRUE(is_form(body));
  for (const char* type :
       {"", "multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data;boundary",
        "multipart/form-data; boundary=x; boundary=x", "multipart/form-dataa; boundary=x",
        "multipart/mixed; boundary=x", "multipart/form-data boundary=x",
        "multipart/form-data; boundary=\"x"}) {
    EXPECT_FALSE(is_form(body, type)) << type;
  }
  const std::string longest(71, 'b');
  EXPECT_FALSE(is_form("--" + longest + "--", "multipart/form-data; boundary=" + longest));
}

TEST(Multipart, RefusesWhatIsNotWhole) {
  const std::string body = named("a", "1") + named("b", "2") + "--x--";
  EXPECT_TRUE(is_form(body));
  for (size_t size = 0; size < body.size(); ++size) EXPECT_FALSE(is_form(body.substr(0, size)));
  for (const std::string& wrong :
       {"\r\n" + body, "preamble\r\n" + body, body + "\r\n\r\n", body + "after",
        named("a", "1") + named("a", "2") + "--x--", named("", "1") + "--x--",
        part("Content-Type: text/plain", "1") + "--x--",
        part("Content-Disposition: form-data", "1") + "--x--",
        part("Content-Disposition: attachment; name=a", "1") + "--x--",
        part("Content-Disposition: form-data; name=a; name=b", "1") + "--x--",
        part("Content-Disposition: form-data; name=\"a", "1") + "--x--",
        part("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
             "1") +
            "--x--",
        part("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64", "1") +
            "--x--",
        part(": form-data; name=a", "1") + "--x--", std::string("--x \r\n\r\n\r\n--x--")}) {
    EXPECT_FALSE(is_form(wrong)) << wrong;
  }
}

TEST(Multipart, HasLimits) {
  std::string body;
  for (size_t i = 0; i < kMaxFormParts; ++i) body += named(fmt::format("n{}", i), "");
  EXPECT_TRUE(is_form(body + "--x--"));
  EXPECT_FALSE(is_form(body + named("more", "") + "--x--"));
  const std::string head = "Content-Disposition: form-data; name=a\r\nX: ";
  const std::string fill(kMaxPartHeadBytes - head.size() - 4, 'x');
  EXPECT_TRUE(is_form(part(head + fill, "") + "--x--"));
  EXPECT_FALSE(is_form(part(head + fill + "x", "") + "--x--"));
}

}  // namespace
}  // namespace hachi::server
