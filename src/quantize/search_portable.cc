#include "quantize/search_loops.inc"

namespace hachi::quantize {

const SearchLoops portable::kSearchLoops = {sums_of_integers, sums_of_levels, grid_errors,
                                            nearest_points};

const SearchLoops& search_loops([[maybe_unused]] const ops::CpuFeatures& features) {
#if HACHI_QUANTIZE_AVX2
  if (features.avx2) return avx2::kSearchLoops;
#endif
  return portable::kSearchLoops;
}

}  // namespace hachi::quantize
