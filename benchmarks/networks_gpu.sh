#!/bin/sh
# Compares architectures on one GPU: benchmarks/networks_gpu.sh TRAIN.npz VAL.npz [SECONDS] [TOYS]
# 3,000 events of TRAIN and own toy events made here (12,000) train each
# network side by side for so many seconds (40), 1,000 events of VAL judge every epoch.
set -eu
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
"${PYTHON:-.venv/bin/python}" benchmarks/networks.py --train "$1" --val "$2" \
    --events 3000 --toys "${4:-12000}" --seconds "${3:-40}" --threads 2 \
    cnn:hidden_size=64,num_layers=4,lr=0.002 \
    cnn:hidden_size=64,num_layers=4,lr=0.002,reflected_share=1 \
    unet:hidden_size=32,widening=1.4,lr=0.003 \
    unet:hidden_size=32,widening=1.4,lr=0.003,reflected_share=1 \
    coarsefine:hidden_size=48,num_deep=2,fine_size=32,lr=0.005 \
    coarsefine:hidden_size=48,num_deep=2,fine_size=32,lr=0.005,reflected_share=1 \
    coarsefine:hidden_size=48,num_deep=2,fine_size=32,lr=0.005,reflected_share=1,positions=signed \
    mlp:hidden_size=2048,num_layers=1,lr=0.001,reflected_share=1
