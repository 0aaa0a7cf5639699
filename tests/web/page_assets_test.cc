// The table of the page's files: what the server hands out must be whole and found by its path.
#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "server/page.h"

namespace hachi::server {
namespace {

TEST(PageAssets, AreSortedAndFoundByTheirPaths) {
  const auto all = assets();
  ASSERT_GT(all.size(), 20U);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(),
                             [](const Asset& a, const Asset& b) { return a.path < b.path; }));
  for (const Asset& asset : all) EXPECT_EQ(find_asset(asset.path), &asset) << asset.path;
}

TEST(PageAssets, OnlyExactPathsAreFound) {
  for (const std::string_view path : {"", "//", "/page", "/page/", "/page/app.js/", "/page/app.j",
                                      "/page/../page/app.js", "/zzz", "/index.html"}) {
    EXPECT_EQ(find_asset(path), nullptr) << path;
  }
}

TEST(PageAssets, TheFirstPageIsPlainHtml) {
  const Asset* page = find_asset("/");
  ASSERT_NE(page, nullptr);
  EXPECT_FALSE(page->gzip);
  EXPECT_EQ(page->content_type, "text/html; charset=utf-8");
  EXPECT_TRUE(page->bytes.starts_with("<!doctype html>"));
  EXPECT_TRUE(page->bytes.ends_with("</html>\n"));
}

TEST(PageAssets, CompressedFilesBeginAsGzipDoesAndFontsAsWoff2Does) {
  for (const Asset& asset : assets()) {
    const bool is_font = asset.content_type == "font/woff2" && !asset.gzip;
    const std::string_view magic = asset.gzip ? "\x1f\x8b\x08" : is_font ? "wOF2" : "";
    EXPECT_TRUE(asset.bytes.starts_with(magic)) << asset.path;
  }
  ASSERT_NE(find_asset("/page/app.js"), nullptr);
  EXPECT_TRUE(find_asset("/page/app.js")->gzip);
  EXPECT_EQ(find_asset("/page/app.js")->content_type, "text/javascript; charset=utf-8");
}

TEST(PageAssets, EtagsAreQuotedAndDiffer) {
  std::set<std::string_view> etags;
  for (const Asset& asset : assets()) {
    EXPECT_EQ(asset.etag.size(), 18U) << asset.path;
    EXPECT_EQ(asset.etag.front(), '"');
    EXPECT_EQ(asset.etag.back(), '"');
    EXPECT_TRUE(etags.insert(asset.etag).second) << asset.path;
  }
}

TEST(PageAssets, TheFirstPageHasNothingInline) {
  const std::string page(find_asset("/")->bytes);
  for (const std::string_view inline_code :
       {"<script>", "<style", " style=", " onclick=", " onload="}) {
    EXPECT_EQ(page.find(inline_code), std::string::npos) << inline_code;
  }
  EXPECT_EQ(kContentSecurityPolicy.find("unsafe"), std::string_view::npos);
}

}  // namespace
}  // namespace hachi::server
