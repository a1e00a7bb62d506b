#!/usr/bin/env bash
# Trains under slurm:
#   bash tools/slurm_train.sh [--requeue] PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]
# --requeue: a run that was told to make room, by a preemption or before its time is up, is started again and continues. It starts
# with --resume. In a batch job: by `scontrol requeue`, and the job says when its time is almost up (#SBATCH --signal=USR1@120).
# Otherwise: by a new srun, which tells the run GRACE seconds before. A job that was cancelled stays so.
# Environment: GPUS (8) in all, GPUS_PER_NODE (8), CPUS_PER_TASK (5), GRACE (120), SRUN_ARGS (further arguments of srun);
# GPUS=0: TASKS (1) processes on the CPU.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
[ -e "$here/_launch.sh" ] || here=${SLURM_SUBMIT_DIR:-.}/tools    # sbatch runs a copy of this file
. "$here/_launch.sh"
requeue=
if [ "${1:-}" = --requeue ]; then requeue=1; shift; fi
need 4 '[--requeue] PARTITION JOB_NAME CONFIG WORK_DIR [arguments of tools/train.py]' "$@"
if [ -z "$requeue" ]; then
    under_slurm "$1" "$2" train.py "$3" --work-dir="$4" --launcher slurm "${@:5}"
fi

mark=$4/preempted.json
program=(train.py "$3" --work-dir="$4" --launcher slurm "${@:5}")
case " ${*:5} " in *' --resume'*) ;; *) program+=(--resume) ;; esac

# What slurm says of a job; nothing of one that it has forgotten.
about() { [ -z "$1" ] || scontrol -o show job "$1" 2>/dev/null || :; }

# In a batch job. srun runs in the background, for bash to hear signals meanwhile. Those to the batch script alone
# (--signal=B:USR1@120) go on to the run through srun; a TERM to all comes to the run by itself, too.
run_in_batch_job() {
    local step
    under_slurm "$1" "$2" "${program[@]}" &
    step=$!
    trap 'kill -USR1 "$step" 2>/dev/null || :' USR1 TERM
    while kill -0 "$step" 2>/dev/null; do wait "$step" || :; done
    wait "$step"
}

batch=
if [ -n "${SLURM_JOB_ID:-}" ]; then
    case "$(about "$SLURM_JOB_ID")" in *' BatchFlag=1 '*) batch=1 ;; esac
else
    SRUN_ARGS="--signal=USR1@${GRACE:-120} ${SRUN_ARGS:-}"
fi
while :; do
    status=0
    rm -f "$mark"
    if [ -n "$batch" ]; then
        run_in_batch_job "$1" "$2" || status=$?
    else
        REPLACE='' under_slurm "$1" "$2" "${program[@]}" || status=$?
    fi
    # 75: saved and ready to go on. srun may report the processes that it killed once the first had left: the run's mark tells.
    # 138: USR1 came before python could listen.
    if [ "$status" != 75 ] && [ "$status" != 138 ] && { [ "$status" -lt 128 ] || [ ! -e "$mark" ]; }; then
        exit "$status"
    fi
    if [ -n "$batch" ]; then
        case "$(about "$SLURM_JOB_ID")" in *' JobState=RUNNING '* | *' Reason=TimeLimit '*) ;; *)
            echo "slurm_train: slurm ends job $SLURM_JOB_ID, or has put it back into the queue; the run is as far as it has saved" >&2
            exit "$status" ;;
        esac
        echo "slurm_train: the run was preempted; job $SLURM_JOB_ID goes back into the queue" >&2
        exec scontrol requeue "$SLURM_JOB_ID"
    fi
    # A job that ended by itself is told from one that was cancelled once slurm has cleared it away.
    job=$(sed -n 's/.*"job": "\([0-9]*\)".*/\1/p' "$mark" 2>/dev/null || :)
    for _ in {1..60}; do
        ended=$(about "$job")
        case "$ended" in *' JobState=COMPLETING '*) sleep 1 ;; *) break ;; esac
    done
    case "$ended" in *' JobState=CANCELLED '*)
        echo "slurm_train: job $job was cancelled; the run is as far as it has saved" >&2
        exit "$status" ;;
    esac
    echo 'slurm_train: the run was preempted; starting it again' >&2
done
