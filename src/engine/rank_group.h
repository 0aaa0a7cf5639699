// RankGroup: the processes that run one model together, each a rank. They meet at the address of
// rank 0, over which they then speak: what they must agree on at the start, and rank 0's orders for
// each step. A thread on each rank watches the others: one that is gone, or silent for half a
// minute, ends all of them with a message that names it.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "core/result.h"
#include "core/socket.h"

namespace hachi::engine {

// A rank, as who started it says.
struct RankPlace {
  int rank = 0;
  int size = 1;
  int local_rank = 0;  // among those of its machine
  std::string host;    // of rank 0
  int port = 0;
  std::string key;  // of the group: ranks with another are turned away
};

class RankGroup {
 public:
  static constexpr int kMaxRanks = 64;

  // On rank 0: takes the others in at `listener`. Fails with kIo, saying how many are missing, if
  // they do not come within two minutes, and with what `check` says, which is asked now and then.
  static Result<std::unique_ptr<RankGroup>> lead(ListenSocket listener, const RankPlace& place,
                                                 const std::function<Result<void>()>& check = {});
  // On the others: as long until rank 0 answers.
  static Result<std::unique_ptr<RankGroup>> join(const RankPlace& place);
  // Without end() before it, the others are told that this rank gives up, and end too.
  ~RankGroup();
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }

  // What every rank calls in the same order, between steps.
  // The least of what they say.
  int64_t least(int64_t value);
  bool all_say(int64_t value) {
    const int64_t low = least(value);
    return low == -least(-value);
  }
  // Rank 0's bytes to all.
  void share(std::span<std::byte> bytes);

  // Orders, of rank 0 to all others: a kind, and words.
  void order(int32_t kind, std::span<const int32_t> words);
  // The next order of rank 0, of at most max_words. False: rank 0 needs this rank no more.
  bool take_order(size_t max_words, int32_t& kind, std::vector<int32_t>& words);

  // The connections for ops::tcp_collective(); once.
  std::vector<Socket> take_data_sockets() { return std::move(data_); }

  // On rank 0: the others may go. On all: a rank that goes from now on is not lost.
  void end();
  // On the others: returns when rank 0 has called it.
  void wait_for_end() const;

  // Says that a rank is lost, to this rank's user and to the other ranks, and ends the process.
  [[noreturn]] void lose(int rank, std::string_view why);

 private:
  explicit RankGroup(RankPlace place);
  Result<void> take_in(ListenSocket& listener, const std::function<Result<void>()>& check);
  Result<bool> admit(Socket socket);
  void begin_watching();
  void watch();
  void hear(size_t peer);
  [[noreturn]] void leave(int status);

  int rank_of(size_t peer) const { return rank() == 0 ? static_cast<int>(peer) + 1 : 0; }

  const RankPlace place_;
  // To each other rank, or to rank 0: orders, tensors, and signs of life.
  std::vector<Socket> control_;
  std::vector<Socket> data_;
  std::vector<Socket> watched_;
  std::vector<int32_t> outgoing_;
  std::vector<std::chrono::steady_clock::time_point> heard_;  // of the watching thread
  std::atomic<bool> has_ended_{false};
  std::atomic<bool> is_leaving_{false};
  std::atomic<bool> stopping_{false};
  std::thread watcher_;
};

}  // namespace hachi::engine
