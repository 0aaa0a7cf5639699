// --tensor-parallel: the processes that run one model together. Either this process starts the
// others, on this machine and with its own command line, or mpirun, srun or a script has started
// all of them and says so in variables:
//
//   HACHI_RANK, HACHI_WORLD_SIZE, HACHI_LOCAL_RANK     by hand
//   OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK           OpenMPI
//   SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID          Slurm
//
// HACHI_MASTER=HOST[:PORT] is where rank 0 listens; without it, Slurm's first node, or this machine
// if OpenMPI has all ranks here. HACHI_KEY, if it is set, must be the same for all.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include <CLI/App.hpp>

#include "cli/loaded_model.h"
#include "core/result.h"
#include "engine/rank_group.h"

namespace hachi::cli {

void add_tensor_parallel_option(CLI::App& app, int& size);

// What the value of a variable is; nothing if it is not set.
using Variables = std::function<std::optional<std::string>(const char* name)>;

// This process's place among `size` ranks that somebody else has started; nothing if nobody has.
// Fails with kInvalidArgument on variables that do not fit each other or `size`.
Result<std::optional<engine::RankPlace>> find_place(int size, const Variables& variables);

// The first of Slurm's "node[03-05,9],other".
std::string first_node(std::string_view list);

class Ranks {
 public:
  // Finds this process's place, and gives `model` its shard, its GPU, and its part of the
  // processors. Before anything asks for GPUs. One rank: changes nothing.
  static Result<Ranks> find(int size, ModelOptions& model);
  Ranks(Ranks&&) = default;
  Ranks& operator=(Ranks&&) = delete;
  // Waits for the ranks that this process has started; ends those that do not go.
  ~Ranks();

  int rank() const { return place_.rank; }
  // Starts the others if nobody has, and meets them.
  Result<void> meet();
  // After meet(); null: there is one rank.
  engine::RankGroup* group() const { return group_.get(); }
  // The work is done: nobody is lost who goes now.
  void finish();

 private:
  Ranks() = default;
  Result<void> start_others(int port);
  Result<void> check_children() const;

  engine::RankPlace place_;
  bool starts_others_ = false;
  std::optional<std::string> visible_gpus_;  // before find()
  std::vector<pid_t> children_;
  std::unique_ptr<engine::RankGroup> group_;
};

}  // namespace hachi::cli
