// The body of a message out of the bytes of its connection.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hachi::net {

// Takes bytes as they come and keeps none of them. Chunks as in RFC 9112 section 7.1: extensions
// and trailers are read over, within limits; line ends are CR LF, nothing else.
class BodyDecoder {
 public:
  enum class State { kMore, kDone, kMalformed, kTooLarge };

  // A body of that many bytes; 0 is done at once.
  static BodyDecoder of_length(uint64_t length);
  // Chunks, up to `limit` bytes of body in all of them.
  static BodyDecoder of_chunks(uint64_t limit);
  // All bytes until the connection ends, up to `limit`; never done by itself.
  static BodyDecoder until_end(uint64_t limit);

  // Appends what is body in the front of `in` to `body` and cuts off what it has read. Bytes after
  // the end of the body stay in `in`. Takes at most `max_bytes` of body.
  State decode(std::string_view& in, std::string& body, uint64_t max_bytes = UINT64_MAX);

  State state() const { return state_; }

 private:
  // What the next byte of a chunked body is part of.
  enum class At {
    kSize,
    kExtension,
    kSizeEnd,
    kData,
    kDataReturn,
    kDataEnd,
    kTrailer,
    kTrailerEnd
  };
  enum class Framing { kLength, kChunks, kUntilEnd };

  void take_data(std::string_view& in, std::string& body, uint64_t max_bytes);
  void take_framing(char c);
  void end_size();

  Framing framing_ = Framing::kLength;
  State state_ = State::kMore;
  At at_ = At::kSize;
  uint64_t left_ = 0;   // bytes of the body, or of the chunk, to come
  uint64_t limit_ = 0;  // bytes of body still allowed
  uint32_t num_digits_ = 0;
  uint32_t extension_bytes_ = 0;  // of all chunks
  uint32_t trailer_bytes_ = 0;
  uint32_t line_bytes_ = 0;  // of the trailer line so far
};

}  // namespace hachi::net
