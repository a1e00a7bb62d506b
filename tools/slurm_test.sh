#!/usr/bin/env bash
# Tests under slurm:
#   bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
# Environment: GPUS (8) in all, GPUS_PER_NODE (8), CPUS_PER_TASK (5), SRUN_ARGS (further arguments of srun).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
need 4 'PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]' "$@"
under_slurm "$1" "$2" test.py "$3" "$4" --launcher slurm "${@:5}"
