#!/usr/bin/env bash
# Tests under slurm:
#   bash tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]
# Environment: GPUS (8) in all, GPUS_PER_NODE (8), CPUS_PER_TASK (5), SRUN_ARGS (further arguments of srun);
# GPUS=0: TASKS (1) processes on the CPU.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
[ -e "$here/_launch.sh" ] || here=${SLURM_SUBMIT_DIR:-.}/tools    # sbatch runs a copy of this file
. "$here/_launch.sh"
need 4 'PARTITION JOB_NAME CONFIG CHECKPOINT [arguments of tools/test.py]' "$@"
under_slurm "$1" "$2" test.py "$3" "$4" --launcher slurm "${@:5}"
