#include "engine/rank_group.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <utility>

#include "core/check.h"

namespace hachi::engine {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr seconds kMeetingTime{120};
constexpr seconds kHelloTime{5};
constexpr seconds kBetweenSigns{1};
constexpr seconds kSilence{30};
constexpr int kLostStatus = 2;

constexpr uint32_t kMagic = 0x68637470;  // "hctp", and the version of what follows
constexpr int kChannels = 3;             // control, data, watch

// What each connection begins with.
struct Hello {
  uint32_t magic = kMagic;
  int32_t rank = 0;
  int32_t size = 0;
  int32_t channel = 0;
  std::array<char, 64> key{};
};

// Signs on a watched connection.
constexpr std::byte kAlive{'.'};
constexpr std::byte kEnded{'e'};
constexpr std::byte kGivesUp{'g'};

Hello hello_of(const RankPlace& place, int channel) {
  Hello hello;
  hello.rank = place.rank;
  hello.size = place.size;
  hello.channel = channel;
  place.key.copy(hello.key.data(), hello.key.size());
  return hello;
}

template <class T>
std::span<std::byte> bytes_of(T& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

}  // namespace

RankGroup::RankGroup(RankPlace place) : place_(std::move(place)) {
  const auto peers = static_cast<size_t>(rank() == 0 ? size() - 1 : 1);
  for (auto* sockets : {&control_, &data_, &watched_}) sockets->resize(peers);
}

// Whether the one who knocks is a rank of this group; a stranger is left standing.
Result<bool> RankGroup::admit(Socket socket) {
  Hello hello;
  socket.limit_waits(kHelloTime);
  if (!socket.receive(bytes_of(hello)) || hello.magic != kMagic) return false;
  if (hello.key != hello_of(place_, 0).key) return false;
  if (hello.size != size() || hello.rank < 1 || hello.rank >= size() || hello.channel < 0 ||
      hello.channel >= kChannels) {
    return fail(Code::kInvalidArgument,
                "a process came as rank {} of {}, and this is a group of {}: start all ranks with "
                "the same numbers",
                hello.rank, hello.size, size());
  }
  auto& sockets = hello.channel == 0 ? control_ : hello.channel == 1 ? data_ : watched_;
  Socket& place = sockets[static_cast<size_t>(hello.rank - 1)];
  if (place.fd() >= 0) {
    return fail(Code::kInvalidArgument, "two processes came as rank {} of {}", hello.rank, size());
  }
  socket.limit_waits(milliseconds(0));
  place = std::move(socket);
  return true;
}

Result<void> RankGroup::take_in(ListenSocket& listener,
                                const std::function<Result<void>()>& check) {
  const auto give_up = Clock::now() + kMeetingTime;
  size_t missing = static_cast<size_t>(kChannels) * control_.size();
  while (missing > 0) {
    constexpr milliseconds kTurn{200};
    TRY(auto socket, listener.accept(kTurn));
    if (check) {
      TRY(check());
    }
    if (socket) {
      TRY(const bool is_rank, admit(*std::move(socket)));
      if (is_rank) --missing;
    } else if (Clock::now() > give_up) {
      return fail(Code::kIo, "{} of {} other ranks did not come within {} s",
                  (missing + kChannels - 1) / kChannels, control_.size(), kMeetingTime.count());
    }
  }
  return {};
}

Result<std::unique_ptr<RankGroup>> RankGroup::lead(ListenSocket listener, const RankPlace& place,
                                                   const std::function<Result<void>()>& check) {
  CHECK(place.rank == 0 && place.size > 1 && place.size <= kMaxRanks);
  std::unique_ptr<RankGroup> group(new RankGroup(place));
  TRY(group->take_in(listener, check));
  group->begin_watching();
  return group;
}

Result<std::unique_ptr<RankGroup>> RankGroup::join(const RankPlace& place) {
  CHECK(place.rank > 0 && place.rank < place.size && place.size <= kMaxRanks);
  std::unique_ptr<RankGroup> group(new RankGroup(place));
  std::vector<Socket>* const channels[] = {&group->control_, &group->data_, &group->watched_};
  for (int channel = 0; channel < kChannels; ++channel) {
    auto socket = Socket::connect(place.host, place.port, kMeetingTime);
    if (!socket) {
      return fail(Code::kIo, "rank {} does not find rank 0: {}", place.rank,
                  socket.error().message);
    }
    Hello hello = hello_of(place, channel);
    TRY(socket->send(bytes_of(hello)));
    channels[channel]->front() = *std::move(socket);
  }
  group->begin_watching();
  return group;
}

RankGroup::~RankGroup() {
  stopping_ = true;
  if (watcher_.joinable()) watcher_.join();
  if (has_ended_) return;
  for (Socket& socket : watched_) {
    if (socket.fd() >= 0) socket.try_send({&kGivesUp, 1});
  }
}

int64_t RankGroup::least(int64_t value) {
  for (size_t i = 0; i < control_.size(); ++i) {
    int64_t other = value;
    const auto done =
        rank() == 0 ? control_[i].receive(bytes_of(other)) : control_[i].send(bytes_of(value));
    if (!done) lose(rank_of(i), done.error().message);
    value = std::min(value, other);
  }
  share(bytes_of(value));
  return value;
}

void RankGroup::share(std::span<std::byte> bytes) {
  for (size_t i = 0; i < control_.size(); ++i) {
    const auto done = rank() == 0 ? control_[i].send(bytes) : control_[i].receive(bytes);
    if (!done && !has_ended_) lose(rank_of(i), done.error().message);
  }
}

void RankGroup::order(int32_t kind, std::span<const int32_t> words) {
  CHECK_EQ(rank(), 0);
  outgoing_.assign({kind, static_cast<int32_t>(words.size())});
  outgoing_.insert(outgoing_.end(), words.begin(), words.end());
  share(std::as_writable_bytes(std::span(outgoing_)));
}

bool RankGroup::take_order(size_t max_words, int32_t& kind, std::vector<int32_t>& words) {
  CHECK_NE(rank(), 0);
  std::array<int32_t, 2> head{};
  Socket& socket = control_.front();
  if (const auto got = socket.receive(std::as_writable_bytes(std::span(head))); !got) {
    // Its last sign may still be on its way.
    for (int i = 0; i < 20 && !has_ended_; ++i) std::this_thread::sleep_for(milliseconds(50));
    if (has_ended_) return false;
    lose(0, got.error().message);
  }
  kind = head[0];
  if (head[1] < 0 || static_cast<size_t>(head[1]) > max_words) {
    lose(0, fmt::format("it sent an order of {} words, more than {}", head[1], max_words));
  }
  words.resize(static_cast<size_t>(head[1]));
  if (const auto got = socket.receive(std::as_writable_bytes(std::span(words))); !got) {
    lose(0, got.error().message);
  }
  return true;
}

void RankGroup::end() {
  if (has_ended_.exchange(true) || rank() != 0) return;
  for (Socket& socket : watched_) socket.try_send({&kEnded, 1});
}

void RankGroup::wait_for_end() const {
  while (!has_ended_) std::this_thread::sleep_for(milliseconds(10));
}

void RankGroup::leave(int status) {
  for (Socket& socket : watched_) socket.try_send({&kGivesUp, 1});
  std::fflush(nullptr);
  std::_Exit(status);
}

void RankGroup::lose(int rank, std::string_view why) {
  // The first to see it says so; another thread then waits for the end.
  while (is_leaving_.exchange(true)) std::this_thread::sleep_for(seconds(1));
  fmt::print(stderr, "hachi: rank {} of {} is lost ({}): rank {} ends too\n", rank, size(), why,
             place_.rank);
  leave(kLostStatus);
}

void RankGroup::begin_watching() {
  heard_.assign(watched_.size(), Clock::now());
  watcher_ = std::thread([this] { watch(); });
}

// What one of them says.
void RankGroup::hear(size_t peer) {
  std::array<std::byte, 64> signs;
  const size_t count = watched_[peer].receive_some(signs);
  const auto heard = std::span(signs).first(count);
  const auto says = [&](std::byte sign) {
    return std::find(heard.begin(), heard.end(), sign) != heard.end();
  };
  heard_[peer] = Clock::now();
  if (says(kEnded)) has_ended_ = true;
  if (has_ended_) return;
  if (says(kGivesUp)) {
    // It has said why itself, or rank 0 has.
    while (is_leaving_.exchange(true)) std::this_thread::sleep_for(seconds(1));
    if (rank() == 0) {
      fmt::print(stderr, "hachi: rank {} of {} gave up: the others end too\n", rank_of(peer),
                 size());
    }
    leave(kLostStatus);
  }
  if (count == 0) lose(rank_of(peer), "its connection is closed");
}

void RankGroup::watch() {
  std::vector<pollfd> open;
  for (const Socket& socket : watched_) {
    open.push_back({.fd = socket.fd(), .events = POLLIN, .revents = 0});
  }
  auto last_sign = Clock::now();
  auto last_turn = Clock::now();
  while (!stopping_ && !has_ended_) {
    constexpr int kTurnMs = 100;
    const int ready = ::poll(open.data(), open.size(), kTurnMs);
    for (size_t i = 0; i < open.size() && ready > 0; ++i) {
      if (open[i].revents != 0) hear(i);
    }
    const auto now = Clock::now();
    // Whoever stopped this process may have stopped the others too: they get their time again.
    if (now - std::exchange(last_turn, now) > kBetweenSigns) heard_.assign(heard_.size(), now);
    for (size_t i = 0; i < open.size() && !has_ended_; ++i) {
      if (now - heard_[i] > kSilence) {
        lose(rank_of(i), fmt::format("silent for {} s", kSilence.count()));
      }
    }
    if (now - last_sign < kBetweenSigns) continue;
    last_sign = now;
    for (Socket& socket : watched_) socket.try_send({&kAlive, 1});
  }
}

}  // namespace hachi::engine
