// The functions of NCCL that ranks need, found in the library when the program runs, as those of
// cuBLASLt are. Declared here, so that no build needs its headers: versions 2.x keep these.
#pragma once

#include <cstddef>

#include "core/result.h"
#include "kernels/collective.h"
#include "kernels/cuda/types.h"

namespace hachi::ops::cuda {

struct NcclComm;  // ncclComm
enum class NcclType : int { kInt8 = 0, kF32 = 7 };
inline constexpr int kNcclSum = 0;
inline constexpr int kNcclSuccess = 0;

// ncclUniqueId, passed by value.
struct NcclUniqueId {
  std::byte bytes[sizeof(NcclId)];
};

// Each returns an ncclResult_t, but error_string.
struct Nccl {
  const char* (*error_string)(int result);
  int (*get_unique_id)(NcclUniqueId* id);
  int (*comm_init_rank)(NcclComm** comm, int size, NcclUniqueId id, int rank);
  int (*comm_abort)(NcclComm* comm);
  int (*all_reduce)(const void* from, void* to, size_t count, NcclType type, int sum,
                    NcclComm* comm, Stream stream);
  int (*broadcast)(const void* from, void* to, size_t count, NcclType type, int root,
                   NcclComm* comm, Stream stream);
  int (*send)(const void* from, size_t count, NcclType type, int peer, NcclComm* comm,
              Stream stream);
  int (*receive)(void* to, size_t count, NcclType type, int peer, NcclComm* comm, Stream stream);
  int (*group_start)();
  int (*group_end)();
};

// Opens the library when it is first called and leaves it open.
Result<Nccl> open_nccl();

}  // namespace hachi::ops::cuda
