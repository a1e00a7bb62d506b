#!/usr/bin/env bash
# Trains on several GPUs of one machine, or of several:
#   bash tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (a free one; for several machines one made from the
# command, the same on all), MAX_RESTARTS (0): so often a run one of whose processes died is started again, and continues.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
need 2 'CONFIG GPUS [arguments of tools/train.py]' "$@"
on_gpus "$2" train.py "$1" --launcher pytorch "${@:3}"
