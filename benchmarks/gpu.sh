#!/bin/sh
# What one GPU makes of a training: checks, speeds beside a bare loop, bfloat16, a default sweep.
# Needs the program's environment (or its dependencies in $PYTHON), no network, and under 8 minutes.
#   benchmarks/gpu.sh [--parts checks,speed,together,streams,rounding,precision,sweep]
#       [--train FILE --validation FILE]
set -u
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}" SWEEP_CACHE="${SWEEP_CACHE:-$folder/cache}"
export TORCHINDUCTOR_CACHE_DIR="$folder" OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"
timeout -k 10 475 "${PYTHON:-python3}" -u "$here/gpu.py" --folder "$folder" "$@"
