#!/usr/bin/env bash
# Puts what a machine with a GPU needs into one folder: the program, the tests, the benchmarks, and
# the libraries that they use beside those of the system and CUDA's.
#
#   tools/gpu/pack.sh BUILD FOLDER      such as build/release /tmp/hachi-gpu
set -euo pipefail
build=${1:?BUILD}
folder=${2:?FOLDER}
here=$(dirname "${BASH_SOURCE[0]}")

mkdir -p "$folder/lib" "$folder/tests/golden"
programs=("$build/hachi" "$build/tests/gpu/gpu_test")
while read -r bench; do programs+=("$bench"); done < <(find "$build/bench/cuda" -maxdepth 1 -name 'bench_cuda_*' -type f 2>/dev/null)
for program in "${programs[@]}"; do
  cp "$program" "$folder/"
  strip "$folder/$(basename "$program")"
  ldd "$program" | awk '$2 == "=>" { print $3 }' |
    grep -vE '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*)\.so' |
    while read -r library; do cp -L "$library" "$folder/lib/"; done
done
cp -r "$here/../../tests/golden/models" "$folder/tests/golden/"
cp "$here/../../tests/golden/make_model_goldens.py" "$folder/tests/golden/"
cp "$here/measure.py" "$here/serve_load.py" "$here/tensor_parallel.py" "$here"/../soak*.py "$folder/"
du -sh "$folder"
