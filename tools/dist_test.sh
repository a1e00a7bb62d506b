#!/usr/bin/env bash
# Tests on several GPUs of one machine, or of several:
#   bash tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# Environment: NNODES (1), NODE_RANK (0), MASTER_ADDR (127.0.0.1), PORT (a free one; for several machines one made from the
# command, the same on all).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
need 3 'CONFIG CHECKPOINT GPUS [arguments of tools/test.py]' "$@"
on_gpus "$3" test.py "$1" "$2" --launcher pytorch "${@:4}"
