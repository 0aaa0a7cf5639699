#!/usr/bin/env bash
# One model divided among the GPUs of several machines, by OpenMPI: a process for each GPU, of which
# the first serves.
#
#   deploy/mpi/tensor_parallel.sh first:4,second:4 8 ~/models/model.gguf --port 8000
#
# HOSTS is what mpirun --host takes, the first of them this machine or one that the others reach by
# that name; N is the number of processes and must divide the model's key/value heads.
set -euo pipefail
usage='usage: tensor_parallel.sh HOSTS N MODEL [OPTIONS of hachi serve]'
hosts=${1:?$usage}
ranks=${2:?$usage}
model=${3:?$usage}
shift 3
first=${hosts%%[:,]*}
export HACHI_MASTER=${HACHI_MASTER:-$first:29610}
HACHI_KEY=$(od -An -N16 -tx8 /dev/urandom | tr -d ' \n')
export HACHI_KEY

# Threads of a rank are bound by nobody: hachi takes what --threads says.
exec mpirun --host "$hosts" -n "$ranks" --bind-to none -x HACHI_MASTER -x HACHI_KEY -x PATH \
  -x LD_LIBRARY_PATH hachi serve "$model" --tensor-parallel "$ranks" "$@"
