#include "net/body_decoder.h"

#include <algorithm>

#include "core/check.h"

namespace hachi::net {
namespace {

constexpr uint32_t kMaxSizeDigits = 16;  // of 64 bits
constexpr uint32_t kMaxExtensionBytes = 16 << 10;
constexpr uint32_t kMaxTrailerBytes = 16 << 10;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

}  // namespace

BodyDecoder BodyDecoder::of_length(uint64_t length) {
  BodyDecoder decoder;
  decoder.left_ = length;
  if (length == 0) decoder.state_ = State::kDone;
  return decoder;
}

BodyDecoder BodyDecoder::of_chunks(uint64_t limit) {
  BodyDecoder decoder;
  decoder.framing_ = Framing::kChunks;
  decoder.limit_ = limit;
  return decoder;
}

BodyDecoder BodyDecoder::until_end(uint64_t limit) {
  BodyDecoder decoder;
  decoder.framing_ = Framing::kUntilEnd;
  decoder.limit_ = limit;
  return decoder;
}

BodyDecoder::State BodyDecoder::decode(std::string_view& in, std::string& body,
                                       uint64_t max_bytes) {
  const size_t before = body.size();
  while (state_ == State::kMore && !in.empty()) {
    if (framing_ == Framing::kChunks && at_ != At::kData) {
      take_framing(in.front());
      if (state_ == State::kMore || state_ == State::kDone) in.remove_prefix(1);
      continue;
    }
    const uint64_t room = max_bytes - (body.size() - before);
    if (room == 0) break;
    take_data(in, body, room);
  }
  return state_;
}

void BodyDecoder::take_data(std::string_view& in, std::string& body, uint64_t max_bytes) {
  uint64_t count = std::min<uint64_t>(in.size(), max_bytes);
  if (framing_ == Framing::kUntilEnd) {
    if (count > limit_) {
      state_ = State::kTooLarge;
      return;
    }
    limit_ -= count;
  } else {
    count = std::min(count, left_);
    left_ -= count;
  }
  body.append(in.substr(0, count));
  in.remove_prefix(count);
  if (framing_ == Framing::kLength && left_ == 0) state_ = State::kDone;
  if (framing_ == Framing::kChunks && left_ == 0) at_ = At::kDataReturn;
}

// The size line of a chunk is over.
void BodyDecoder::end_size() {
  num_digits_ = 0;
  if (left_ > limit_) {
    state_ = State::kTooLarge;
    return;
  }
  limit_ -= left_;
  at_ = left_ == 0 ? At::kTrailer : At::kData;
}

void BodyDecoder::take_framing(char c) {
  const auto expect = [&](char wanted, At next) {
    if (c != wanted) state_ = State::kMalformed;
    at_ = next;
  };
  switch (at_) {
    case At::kSize: {
      const int digit = hex_digit(c);
      if (digit >= 0 && num_digits_ < kMaxSizeDigits) {
        left_ = left_ * 16 + static_cast<uint64_t>(digit);
        ++num_digits_;
      } else if (num_digits_ == 0 || digit >= 0) {
        state_ = State::kMalformed;
      } else if (c == ';' || c == ' ' || c == '\t') {
        at_ = At::kExtension;
      } else {
        expect('\r', At::kSizeEnd);
      }
      return;
    }
    case At::kExtension:
      if (c == '\r') {
        at_ = At::kSizeEnd;
      } else if (is_control(c) || ++extension_bytes_ > kMaxExtensionBytes) {
        state_ = State::kMalformed;
      }
      return;
    case At::kSizeEnd:
      if (c == '\n') return end_size();
      state_ = State::kMalformed;
      return;
    case At::kDataReturn:
      return expect('\r', At::kDataEnd);
    case At::kDataEnd:
      return expect('\n', At::kSize);
    case At::kTrailer:
      if (c == '\r') {
        at_ = At::kTrailerEnd;
      } else if (is_control(c) || ++trailer_bytes_ > kMaxTrailerBytes) {
        state_ = State::kMalformed;
      } else {
        ++line_bytes_;
      }
      return;
    case At::kTrailerEnd:
      if (c != '\n') {
        state_ = State::kMalformed;
      } else if (line_bytes_ == 0) {
        state_ = State::kDone;
      }
      line_bytes_ = 0;
      at_ = At::kTrailer;
      return;
    case At::kData:
      CHECK(false);
  }
}

}  // namespace hachi::net
