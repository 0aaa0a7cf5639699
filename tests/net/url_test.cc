#include "net/url.h"

#include <gtest/gtest.h>

namespace hachi::net {
namespace {

TEST(Url, Parts) {
  const auto url = parse_url("https://api.example.com:8443/v1/models?a=b&c#part");
  ASSERT_TRUE(url);
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "api.example.com");
  EXPECT_EQ(url->port, 8443);
  EXPECT_EQ(url->target, "/v1/models?a=b&c");
  EXPECT_EQ(url->authority(), "api.example.com:8443");
}

TEST(Url, Defaults) {
  const auto plain = parse_url("http://localhost");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->tls);
  EXPECT_EQ(plain->port, 80);
  EXPECT_EQ(plain->target, "/");
  EXPECT_EQ(plain->authority(), "localhost");
  EXPECT_EQ(parse_url("https://h?q")->target, "/?q");
  EXPECT_EQ(parse_url("https://h")->port, 443);
}

TEST(Url, Ipv6) {
  const auto url = parse_url("http://[::1]:8080/x");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->port, 8080);
  EXPECT_EQ(url->authority(), "[::1]:8080");
  EXPECT_EQ(parse_url("http://[2001:db8::1]")->port, 80);
}

TEST(Url, Refused) {
  for (const char* text : {"",
                           "localhost:80",
                           "ftp://host/",
                           "HTTP//x",
                           "http://",
                           "http:///path",
                           "http://:80/",
                           "http://host:",
                           "http://host:0",
                           "http://host:65536",
                           "http://host:-1",
                           "http://host:80x",
                           "http://user@host/",
                           "http://user:word@host/",
                           "http://ho st/",
                           "http://host/\n",
                           "http://host/\xC3\xA9",
                           "http://[::1",
                           "http://[]",
                           "http://[x]",
                           "http://[::1]80",
                           "http://[::1]:",
                           "http://ho%73t/",
                           "http://a\\b/"}) {
    const auto url = parse_url(text);
    EXPECT_FALSE(url) << text;
  }
  EXPECT_FALSE(parse_url("http://h/" + std::string(9000, 'x')));
  EXPECT_FALSE(parse_url("http://" + std::string(300, 'x')));
}

TEST(Url, PercentDecoding) {
  EXPECT_EQ(percent_decoded("/a%20b%2Fc%e9"), "/a b/c\xE9");
  EXPECT_EQ(percent_decoded("%2520"), "%20");
  EXPECT_EQ(percent_decoded(""), "");
  EXPECT_EQ(percent_decoded("a+b"), "a+b");
  for (const char* text : {"%", "%4", "%4g", "%g4", "%%41", "%00", "a%+1"}) {
    EXPECT_FALSE(percent_decoded(text)) << text;
  }
}

}  // namespace
}  // namespace hachi::net
