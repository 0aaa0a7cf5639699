#include "quantize/search_loops.inc"

namespace hachi::quantize {

const SearchLoops avx2::kSearchLoops = {sums_of_integers, sums_of_levels, grid_errors,
                                        nearest_points};

}  // namespace hachi::quantize
