#include "cli/store.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cli/scratch.h"

namespace hachi::cli {
namespace {

namespace fs = std::filesystem;

TEST(ModelName, TakesPlainNamesOnly) {
  for (const char* name : {"smollm2", "Qwen3-8B.Q4_1", "8b", "a"}) {
    EXPECT_TRUE(is_model_name(name)) << name;
  }
  for (const char* name :
       {"", ".", "..", ".pull-x", "-p", "_x", "a/b", "../a", "a b", "a\n", "ä", "a\\b", "a:b"}) {
    EXPECT_FALSE(is_model_name(name)) << name;
  }
  EXPECT_TRUE(is_model_name(std::string(100, 'a')));
  EXPECT_FALSE(is_model_name(std::string(101, 'a')));
}

TEST(ModelStore, OpensWhereTheEnvironmentSays) {
  const ScopedEnvironment home("HOME", "/home/someone");
  {
    const ScopedEnvironment hachi_home("HACHI_HOME", "");
    EXPECT_EQ(ModelStore::open()->root(), "/home/someone/.cache/hachi");
  }
  const ScopedEnvironment hachi_home("HACHI_HOME", "/models");
  EXPECT_EQ(ModelStore::open()->root(), "/models");
}

TEST(ModelStore, NeedsSomeHome) {
  const ScopedEnvironment home("HOME", "");
  const ScopedEnvironment hachi_home("HACHI_HOME", "");
  const auto store = ModelStore::open();
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("HACHI_HOME"), std::string::npos);
}

TEST(ModelStore, ListsWhatIsThere) {
  const Scratch scratch;
  const ModelStore store(scratch.path() / "store");
  EXPECT_TRUE(store.list()->empty());
  scratch.write("store/models/b-gguf/x.gguf", "12345");
  scratch.write("store/models/a-folder/config.json", "{}");
  scratch.write("store/models/a-folder/model.safetensors", "123");
  scratch.write("store/models/c-empty/readme.md", "x");
  scratch.write("store/models/.hidden/x.gguf", "x");
  scratch.write("store/models/a file", "x");
  fs::create_symlink(scratch.path() / "nowhere", store.folder_of("d-dangling"));
  fs::create_symlink(store.folder_of("b-gguf"), store.folder_of("e-linked"));

  const auto models = store.list();
  ASSERT_TRUE(models);
  ASSERT_EQ(models->size(), 5u);
  const auto expect = [&](size_t at, const char* name, const char* kind, uint64_t bytes,
                          bool linked) {
    const StoredModel& model = (*models)[at];
    EXPECT_EQ(model.name, name);
    EXPECT_EQ(model.kind, kind);
    EXPECT_EQ(model.bytes, bytes);
    EXPECT_EQ(model.linked, linked);
  };
  expect(0, "a-folder", "huggingface", 5, false);
  expect(1, "b-gguf", "gguf", 5, false);
  expect(2, "c-empty", "broken", 1, false);
  expect(3, "d-dangling", "broken", 0, true);
  expect(4, "e-linked", "gguf", 5, true);
  EXPECT_EQ((*models)[0].path, store.folder_of("a-folder"));
  EXPECT_EQ((*models)[1].path, store.folder_of("b-gguf") / "x.gguf");
}

TEST(ModelStore, AFileInPlaceOfTheFolderIsAnError) {
  const Scratch scratch;
  scratch.write("store/models", "not a folder");
  EXPECT_FALSE(ModelStore(scratch.path() / "store").list());
}

TEST(Resolve, TakesAPathFirstAndThenAName) {
  const Scratch scratch;
  const ModelStore store(scratch.path() / "store");
  const fs::path file = scratch.write("some/model.gguf", "x");
  const fs::path stored = scratch.write("store/models/mine/part-00001-of-00002.gguf", "x");
  scratch.write("store/models/mine/part-00002-of-00002.gguf", "x");
  scratch.write("hf/config.json", "{}");
  EXPECT_EQ(*store.resolve(file.string()), file);
  EXPECT_EQ(*store.resolve(file.parent_path().string()), file);
  EXPECT_EQ(*store.resolve((scratch.path() / "hf").string()), scratch.path() / "hf");
  EXPECT_EQ(*store.resolve("mine"), stored);
}

TEST(Resolve, SaysWhatToDo) {
  const Scratch scratch;
  const ModelStore store(scratch.path() / "store");
  scratch.write("store/models/mistral/x.gguf", "x");
  scratch.write("store/models/hollow/readme.md", "x");
  const auto message = [&](const char* model) {
    const auto path = store.resolve(model);
    EXPECT_FALSE(path) << model;
    return path ? std::string() : path.error().message;
  };
  EXPECT_NE(message("mistrl").find("did you mean 'mistral'?"), std::string::npos);
  EXPECT_NE(message("smolm2").find("did you mean 'smollm2'?"), std::string::npos);
  EXPECT_NE(message("smollm2").find("`hachi pull smollm2`"), std::string::npos);
  EXPECT_NE(message("hollow").find("its files are not there"), std::string::npos);
  EXPECT_NE(message("../store/models/mistral").find("neither a file nor a model"),
            std::string::npos);
  EXPECT_EQ(message("something").find("did you mean"), std::string::npos);
  EXPECT_NE(message("").find("`hachi list`"), std::string::npos);
}

TEST(DidYouMean, NamesAtMostThree) {
  const std::vector<std::string> names = {"qwen3-8b", "Qwen3-4B", "qwen3-1b", "qwen3-30b", "phi"};
  EXPECT_EQ(did_you_mean("qwen3", names),
            " (did you mean 'qwen3-8b' or 'Qwen3-4B' or 'qwen3-1b'?)");
  EXPECT_EQ(did_you_mean("phy", names), " (did you mean 'phi'?)");
  EXPECT_EQ(did_you_mean("llama", names), "");
}

TEST(HumanBytes, RoundsToOneDigit) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1000), "1.0 KB");
  EXPECT_EQ(human_bytes(98'362'432), "98.4 MB");
  EXPECT_EQ(human_bytes(999'960'000), "1.0 GB");
  EXPECT_EQ(human_bytes(5'000'000'000'000'000), "5000.0 TB");
}

}  // namespace
}  // namespace hachi::cli
