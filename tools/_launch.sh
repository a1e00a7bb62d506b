# For dist_*.sh and slurm_*.sh, which source it.
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$TOOLS/..:${PYTHONPATH:-}"

# need N USAGE [ARGUMENT ...]: stops the script unless there are at least N arguments.
need() {
    if [ $(($# - 2)) -lt "$1" ]; then
        echo "usage: $0 $2" >&2
        exit 2
    fi
}

# tell SIGNAL PROCESS: sends it to the processes that PROCESS has started; to itself where there are none yet.
tell() {
    local children
    children=$(cat /proc/"$2"/task/*/children 2>/dev/null || pgrep -P "$2" || :)
    # Numbers, split into words on purpose.
    # shellcheck disable=SC2086
    if [ -n "${children// /}" ]; then kill "-$1" $children 2>/dev/null || :; else kill -TERM "$2" 2>/dev/null || :; fi
}

# on_gpus GPUS PROGRAM [ARGUMENT ...]: a program of this folder under torchrun; ends the script with its status. USR1 and a first TERM
# go past torchrun, which dies of the one and gives a run 30 seconds to save after the other; a second TERM ends what does not stop.
# Status 75: the run was told to stop, and has saved.
on_gpus() {
    local launcher=(torchrun) meeting=(--standalone) nodes=${NNODES:-1} sum run status=0
    # An environment that borrows torch from another has no torchrun of its own.
    command -v torchrun >/dev/null || launcher=(python -m torch.distributed.run)
    # One machine without PORT: torchrun takes a free port. Several must know it beforehand: one from the command, which they share.
    if [ "$nodes" != 1 ] || [ -n "${PORT:-}" ]; then
        sum=$(printf '%s\n' "${USER:-}" "${@:2}" | cksum)
        meeting=(--node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}"
            --master_port="${PORT:-$((20000 + ${sum%% *} % 12768))}")
    fi
    MMXF_STOPPED=$(mktemp) || MMXF_STOPPED=     # the run writes into it what torchrun does not hand on
    export MMXF_STOPPED
    set -m                          # Ctrl-C is for this script, which hands it on: a background process would ignore it
    "${launcher[@]}" \
        --nnodes="$nodes" \
        "${meeting[@]}" \
        --nproc_per_node="$1" \
        ${MAX_RESTARTS:+--max-restarts="$MAX_RESTARTS"} \
        "$TOOLS/$2" "${@:3}" &
    run=$!
    trap 'tell USR1 "$run"' USR1
    trap 'tell USR1 "$run"; trap '\''kill -TERM "$run" 2>/dev/null || :'\'' TERM' TERM
    trap 'kill -INT "$run" 2>/dev/null || :' INT
    while kill -0 "$run" 2>/dev/null; do wait "$run" || :; done
    wait "$run" || status=$?
    [ ! -s "$MMXF_STOPPED" ] || status=75
    rm -f "$MMXF_STOPPED"
    exit "$status"
}

# under_slurm PARTITION JOB_NAME PROGRAM [ARGUMENT ...]: a program of this folder under srun, in place of the script unless REPLACE
# is set and empty. GPUS=0: TASKS processes on the CPU.
under_slurm() {
    local gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8} processes
    [ "$gpus" -ge "$per_node" ] || per_node=$gpus
    if [ "$gpus" = 0 ]; then
        processes=(--ntasks="${TASKS:-1}")
    else
        processes=(--gres="gpu:$per_node" --ntasks="$gpus" --ntasks-per-node="$per_node")
    fi
    # SRUN_ARGS is split into words on purpose.
    # shellcheck disable=SC2086
    ${REPLACE-exec} srun -p "$1" \
        --job-name="$2" \
        "${processes[@]}" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" \
        --kill-on-bad-exit=1 \
        ${SRUN_ARGS:-} \
        python -u "$TOOLS/$3" "${@:4}"
}
