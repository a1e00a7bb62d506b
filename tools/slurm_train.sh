#!/usr/bin/env bash
# Trains under slurm:
#   bash tools/slurm_train.sh [--requeue] PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# --requeue: a run that was told to make room, by a preemption or GRACE seconds before its time is up, is started again and
# continues: by `scontrol requeue` where this script runs in a batch job, otherwise by a new srun. It starts with --resume.
# Environment: GPUS (8) in all, GPUS_PER_NODE (8), CPUS_PER_TASK (5), GRACE (120), SRUN_ARGS (further arguments of srun).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_launch.sh"
requeue=
if [ "${1:-}" = --requeue ]; then requeue=1; shift; fi
need 4 '[--requeue] PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]' "$@"
if [ -z "$requeue" ]; then
    under_slurm "$1" "$2" train.py "$3" --work-dir="$4" --launcher slurm "${@:5}"
fi

SRUN_ARGS="--signal=USR1@${GRACE:-120} ${SRUN_ARGS:-}"
REPLACE=
[ -z "${SLURM_JOB_ID:-}" ] || trap : TERM USR1    # slurm may tell the batch script, too; the run gets its own signal
resume=(--resume)
case " ${*:5} " in *' --resume'*) resume=() ;; esac
while :; do
    status=0
    rm -f "$4/preempted.json"
    under_slurm "$1" "$2" train.py "$3" --work-dir="$4" --launcher slurm "${@:5}" "${resume[@]}" || status=$?
    # 75: saved and ready to go on. srun may report the processes that it killed once the first had left: the run's mark tells.
    if [ "$status" != 75 ] && { [ "$status" -lt 128 ] || [ ! -e "$4/preempted.json" ]; }; then
        exit "$status"
    fi
    if [ -n "${SLURM_JOB_ID:-}" ]; then
        echo "slurm_train: the run was preempted and has saved; job $SLURM_JOB_ID goes back into the queue" >&2
        exec scontrol requeue "$SLURM_JOB_ID"
    fi
    echo 'slurm_train: the run was preempted and has saved; starting it again' >&2
done
