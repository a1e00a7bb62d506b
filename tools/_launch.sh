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

# on_gpus GPUS PROGRAM [ARGUMENT ...]: a program of this folder under torchrun.
on_gpus() {
    local launcher=(torchrun) meeting=(--standalone) nodes=${NNODES:-1} sum
    # An environment that borrows torch from another has no torchrun of its own.
    command -v torchrun >/dev/null || launcher=(python -m torch.distributed.run)
    # One machine without PORT: torchrun takes a free port. Several must know it beforehand: one from the command, which they share.
    if [ "$nodes" != 1 ] || [ -n "${PORT:-}" ]; then
        sum=$(printf '%s\n' "${USER:-}" "${@:2}" | cksum)
        meeting=(--node_rank="${NODE_RANK:-0}" --master_addr="${MASTER_ADDR:-127.0.0.1}"
            --master_port="${PORT:-$((20000 + ${sum%% *} % 12768))}")
    fi
    exec "${launcher[@]}" \
        --nnodes="$nodes" \
        "${meeting[@]}" \
        --nproc_per_node="$1" \
        ${MAX_RESTARTS:+--max-restarts="$MAX_RESTARTS"} \
        "$TOOLS/$2" "${@:3}"
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
