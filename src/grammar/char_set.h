// CharSet: a set of Unicode code points, as character classes are.
#pragma once

#include <cstdint>
#include <vector>

namespace hachi::grammar {

struct CharRange {
  uint32_t first;
  uint32_t last;  // included
  bool operator==(const CharRange&) const = default;
};

class CharSet {
 public:
  CharSet() = default;
  CharSet(std::initializer_list<CharRange> ranges);

  // All code points but the surrogates, which UTF-8 cannot write.
  static CharSet all();
  static CharSet of(uint32_t c) { return {{c, c}}; }

  void add(uint32_t first, uint32_t last);
  void add(const CharSet& other);
  CharSet complement() const;
  CharSet intersect(const CharSet& other) const;
  CharSet minus(const CharSet& other) const { return intersect(other.complement()); }

  bool contains(uint32_t c) const;
  bool is_empty() const { return ranges_.empty(); }
  // Ascending, apart from each other, without surrogates.
  const std::vector<CharRange>& ranges() const { return ranges_; }
  bool operator==(const CharSet&) const = default;

 private:
  void normalize();
  std::vector<CharRange> ranges_;
};

}  // namespace hachi::grammar
