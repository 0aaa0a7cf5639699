// Mixtures against llama.cpp's quantizer: mixture_goldens.json, made by make_mixture_goldens.py.
#include "model/mixture.h"

#include <string>

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "core/files.h"

namespace hachi::model {
namespace {

namespace json = boost::json;

json::object read_goldens() {
  const auto text =
      read_file(std::filesystem::path(HACHI_TEST_DIR) / "model/mixture_goldens.json", 1 << 20);
  EXPECT_TRUE(text) << text.error().message;
  return json::parse(*text).as_object();
}

std::string full_name(std::string_view kind, int64_t layer) {
  if (kind == "token_embd.weight" || kind == "output.weight") return std::string(kind);
  return fmt::format("blk.{}.{}", layer, kind);
}

// One file type on one model; returns how many tensors were compared.
int compare(const FileType& file, const MixtureModel& mixture, const json::object& rows,
            const json::object& types) {
  int compared = 0;
  for (const auto& [kind, runs] : types) {
    const int64_t row = rows.at(kind).as_int64();
    int64_t layer = 0;
    for (const json::value& run : runs.as_array()) {
      for (int64_t i = 0; i < run.at(1).as_int64(); ++i, ++layer, ++compared) {
        const std::string name = full_name(kind, layer);
        const DType type = type_that_fits(mixture_type(file, mixture, name, row), row);
        EXPECT_EQ(core::name(type), run.at(0).as_string()) << file.name << " " << name;
      }
    }
  }
  return compared;
}

TEST(Mixture, IsThatOfLlamaCpp) {
  int compared = 0;
  for (const auto& [name, model] : read_goldens()) {
    SCOPED_TRACE(std::string(name));
    MixtureModel mixture;
    mixture.num_layers = model.at("layers").as_int64();
    mixture.heads_per_kv = model.at("heads_per_kv").as_int64();
    mixture.tied_head = model.at("tied").as_bool();
    for (const FileType& file : file_types()) {
      if (file.mixture == Mixture::kF32) continue;  // llama.cpp has nothing to say of it
      for (const bool importance : {false, true}) {
        mixture.has_importance = importance;
        const std::string key = std::string(file.name) + (importance ? " with importance" : "");
        compared += compare(file, mixture, model.at("rows").as_object(),
                            model.at("types").at(key).as_object());
      }
    }
  }
  EXPECT_GT(compared, 40000);
}

TEST(Mixture, NamesAreFound) {
  EXPECT_EQ(find_file_type("q4_k_m")->mixture, Mixture::kQ4_K_M);
  EXPECT_EQ(find_file_type("Q5_K")->mixture, Mixture::kQ5_K_M);
  EXPECT_EQ(find_file_type("IQ2_M")->number, 29U);
  EXPECT_EQ(find_file_type("Q9"), nullptr);
  EXPECT_EQ(find_file_type(""), nullptr);
}

TEST(Mixture, NamesOfLayers) {
  EXPECT_EQ(layer_of("blk.12.attn_q.weight"), 12);
  EXPECT_FALSE(layer_of("blk.x.attn_q.weight"));
  EXPECT_FALSE(layer_of("blk.12"));
  EXPECT_FALSE(layer_of("blk.99999999999999999999.ffn_up.weight"));
  EXPECT_FALSE(layer_of("output.weight"));
  EXPECT_TRUE(is_quantized_tensor("blk.0.attn_q.weight", 2));
  EXPECT_FALSE(is_quantized_tensor("blk.0.attn_q.weight", 1));
  EXPECT_FALSE(is_quantized_tensor("blk.0.attn_q_norm.weight", 2));
  EXPECT_FALSE(is_quantized_tensor("blk.0.attn_q.bias", 2));
}

}  // namespace
}  // namespace hachi::model
