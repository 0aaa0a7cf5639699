// IQ3_S, IQ3_XXS, IQ2_S, IQ2_XS and IQ2_XXS: how their blocks are packed.
#include "kernels/iq_grids.h"
#include "quantize/encode.h"
#include "quantize/grid_block.h"

namespace hachi::quantize {
namespace {

const SearchGrid kIQ3_S(ops::kGridIQ3_S, ops::kLevelsIQ3_S);
const SearchGrid kIQ3_XXS(ops::kGridIQ3_XXS, ops::kLevelsIQ3_XXS);
const SearchGrid kIQ2_S(ops::kGridIQ2_S, ops::kLevelsIQ2);
const SearchGrid kIQ2_XS(ops::kGridIQ2_XS, ops::kLevelsIQ2);
const SearchGrid kIQ2_XXS(ops::kGridIQ2_XXS, ops::kLevelsIQ2);

// Scale s of four bits in its half of scales[s / 2].
void pack_scales(const GridBlock& fit, int count, uint8_t* scales) {
  for (int s = 0; s < count; s += 2) {
    scales[s / 2] = static_cast<uint8_t>(fit.scales[s] | fit.scales[s + 1] << 4);
  }
}

// Four signs of seven bits and a scale, little endian.
void pack_word(const uint8_t* signs, int scale, uint8_t* bytes) {
  uint32_t word = static_cast<uint32_t>(scale) << 28;
  for (int k = 0; k < 4; ++k) word |= (signs[k] & 127u) << (7 * k);
  for (int k = 0; k < 4; ++k) bytes[k] = static_cast<uint8_t>(word >> (8 * k));
}

}  // namespace

void encode(const BlockValues& values, ops::BlockIQ3_S* block) {
  const GridBlock fit = fit_grid_block(values, {1.0f, 32, false}, kIQ3_S);
  *block = {};
  block->d = fit.d;
  for (int k = 0; k < 64; ++k) {
    block->q[k] = static_cast<uint8_t>(fit.points[k] & 255);
    block->high[k / 8] |= static_cast<uint8_t>((fit.points[k] >> 8) << (k % 8));
  }
  for (int k = 0; k < 32; ++k) block->signs[k] = fit.signs[k];
  pack_scales(fit, 8, block->scales);
}

void encode(const BlockValues& values, ops::BlockIQ3_XXS* block) {
  const GridBlock fit = fit_grid_block(values, {0.25f, 32, true}, kIQ3_XXS);
  block->d = fit.d;
  for (int k = 0; k < 64; ++k) block->q[k] = static_cast<uint8_t>(fit.points[k]);
  for (int s = 0; s < 8; ++s) pack_word(fit.signs + 4 * s, fit.scales[s], block->words[s]);
}

void encode(const BlockValues& values, ops::BlockIQ2_S* block) {
  const GridBlock fit = fit_grid_block(values, {0.125f, 16, false}, kIQ2_S);
  *block = {};
  block->d = fit.d;
  for (int k = 0; k < 32; ++k) {
    block->q[k] = static_cast<uint8_t>(fit.points[k] & 255);
    block->high[k / 4] |= static_cast<uint8_t>((fit.points[k] >> 8) << (k % 4 * 2));
    block->signs[k] = fit.signs[k];
  }
  pack_scales(fit, 16, block->scales);
}

void encode(const BlockValues& values, ops::BlockIQ2_XS* block) {
  const GridBlock fit = fit_grid_block(values, {0.125f, 16, true}, kIQ2_XS);
  block->d = fit.d;
  for (int k = 0; k < 32; ++k) {
    block->q[k] = static_cast<uint16_t>(fit.points[k] | (fit.signs[k] & 127) << 9);
  }
  pack_scales(fit, 16, block->scales);
}

void encode(const BlockValues& values, ops::BlockIQ2_XXS* block) {
  const GridBlock fit = fit_grid_block(values, {0.125f, 32, true}, kIQ2_XXS);
  block->d = fit.d;
  for (int s = 0; s < 8; ++s) {
    for (int k = 0; k < 4; ++k) {
      block->sub_blocks[s].q[k] = static_cast<uint8_t>(fit.points[4 * s + k]);
    }
    pack_word(fit.signs + 4 * s, fit.scales[s], block->sub_blocks[s].word);
  }
}

}  // namespace hachi::quantize
