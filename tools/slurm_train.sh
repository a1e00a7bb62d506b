#!/usr/bin/env bash
# Trains under slurm:
#   bash tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# Environment: GPUS (8) in all, GPUS_PER_NODE (8), CPUS_PER_TASK (5), SRUN_ARGS (further arguments of srun).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
need 4 'PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]' "$@"
under_slurm "$1" "$2" train.py "$3" --work-dir="$4" --launcher slurm "${@:5}"
