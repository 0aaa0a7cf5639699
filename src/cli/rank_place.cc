// Which rank this process is, by the variables of those who start processes.
#include <charconv>

#include "cli/ranks.h"

namespace hachi::cli {
namespace {

constexpr int kDefaultPort = 29610;
constexpr int kMaxPort = 65535;

// What a starter calls its variables.
struct Names {
  const char* rank;
  const char* size;
  const char* local_rank;
};
constexpr Names kOwn = {"HACHI_RANK", "HACHI_WORLD_SIZE", "HACHI_LOCAL_RANK"};
constexpr Names kOpenMpi = {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                            "OMPI_COMM_WORLD_LOCAL_RANK"};
constexpr Names kSlurm = {"SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"};

std::optional<int> number(std::string_view text, int most) {
  int value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
  return whole && value >= 0 && value <= most ? std::optional(value) : std::nullopt;
}

Result<int> number_of(const char* name, const Variables& variables, int most) {
  const std::string text = variables(name).value_or("");
  if (const auto value = number(text, most)) return *value;
  return fail(Code::kInvalidArgument, "{} must be a number from 0 to {}, and is '{}'", name, most,
              text);
}

// "HOST", "HOST:PORT" or "[ADDRESS]:PORT"; an address of version 6 without brackets has no port.
Result<void> read_master(const std::string& text, engine::RankPlace& place) {
  const size_t colon = text.rfind(':');
  const bool has_port = colon != text.npos && (text.find(':') == colon || text[colon - 1] == ']');
  place.host = text.substr(0, has_port ? colon : text.npos);
  if (place.host.size() > 2 && place.host.front() == '[' && place.host.back() == ']') {
    place.host = place.host.substr(1, place.host.size() - 2);
  }
  if (has_port) {
    const auto port = number(std::string_view(text).substr(colon + 1), kMaxPort);
    if (!port || *port == 0) {
      return fail(Code::kInvalidArgument, "HACHI_MASTER must be HOST:PORT, and is '{}'", text);
    }
    place.port = *port;
  }
  if (place.host.empty()) {
    return fail(Code::kInvalidArgument, "HACHI_MASTER must be HOST:PORT, and is '{}'", text);
  }
  return {};
}

Result<void> find_master(const Names& names, const Variables& variables, engine::RankPlace& place) {
  place.port = kDefaultPort;
  if (const auto master = variables("HACHI_MASTER")) return read_master(*master, place);
  if (&names == &kSlurm) {
    // Two jobs on a machine have different ports.
    constexpr int kFirstPort = 20000;
    constexpr int kPorts = 20000;
    const auto job = number(variables("SLURM_JOB_ID").value_or("0"), INT32_MAX);
    place.port = kFirstPort + job.value_or(0) % kPorts;
    auto nodes = variables("SLURM_STEP_NODELIST");
    if (!nodes) nodes = variables("SLURM_JOB_NODELIST");
    place.host = first_node(nodes.value_or(""));
  } else if (&names == &kOpenMpi) {
    const auto local = variables("OMPI_COMM_WORLD_LOCAL_SIZE");
    if (local && number(*local, place.size) == place.size) place.host = "127.0.0.1";
  }
  if (!place.host.empty()) return {};
  return fail(Code::kInvalidArgument,
              "where rank 0 is must be said: set HACHI_MASTER=HOST:PORT for all ranks (mpirun -x "
              "HACHI_MASTER)");
}

}  // namespace

std::string first_node(std::string_view list) {
  const size_t bracket = list.find('[');
  const size_t comma = list.find(',');
  if (bracket == list.npos || comma < bracket) return std::string(list.substr(0, comma));
  const std::string_view numbers = list.substr(bracket + 1);
  const size_t end = numbers.find_first_of("-,]");
  const size_t close = numbers.find(']');
  std::string node(list.substr(0, bracket));
  node += numbers.substr(0, end);
  if (close == numbers.npos) return node;
  const std::string_view rest = numbers.substr(close + 1);
  return node += rest.substr(0, rest.find(','));
}

Result<std::optional<engine::RankPlace>> find_place(int size, const Variables& variables) {
  for (const Names* names : {&kOwn, &kOpenMpi, &kSlurm}) {
    if (!variables(names->rank)) continue;
    TRY(const int given, number_of(names->size, variables, 1 << 20));
    // A job of one task that starts the others itself.
    if (given == 1) continue;
    if (given != size) {
      return fail(Code::kInvalidArgument,
                  "--tensor-parallel {} needs {} ranks, and {} says that there are {}", size, size,
                  names->size, given);
    }
    engine::RankPlace place;
    place.size = size;
    TRY(place.rank, number_of(names->rank, variables, size - 1));
    TRY(place.local_rank, number_of(names->local_rank, variables, size - 1));
    TRY(find_master(*names, variables, place));
    place.key = variables("HACHI_KEY").value_or("");
    return std::optional(std::move(place));
  }
  return std::optional<engine::RankPlace>();
}

}  // namespace hachi::cli
