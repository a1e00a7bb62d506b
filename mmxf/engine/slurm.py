"""What slurm tells the processes of a job step, in the variables that torch reads."""
from __future__ import annotations

import os
import re

# Below the range that Linux hands out to outgoing connections (32768 and up).
_FIRST_PORT, _PORTS = 20000, 12768


def first_host(nodes: str) -> str:
    """The first host of slurm's short form of a list: ``gpu[003-007,12],login`` -> ``gpu003``.

    ``scontrol show hostnames`` says the same, but is absent in many containers.
    """
    return re.sub(r'\[([^\],-]+)[^\]]*\]', r'\1', nodes).split(',')[0]


def join_slurm_step(launcher: str) -> None:
    """Set ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT`` in a process that srun started.

    ``MASTER_ADDR`` and ``MASTER_PORT`` of the environment win. Nothing happens outside of srun (:func:`step_size`) or with
    another launcher.
    """
    if launcher != 'slurm' or step_size() is None:
        return
    os.environ['RANK'] = os.environ['SLURM_PROCID']
    os.environ['WORLD_SIZE'] = str(step_size())
    os.environ['LOCAL_RANK'] = os.environ.get('SLURM_LOCALID', '0')
    # Rank 0 is on the step's first node, which need not be the job's.
    nodes = os.environ.get('SLURM_STEP_NODELIST') or os.environ.get('SLURM_NODELIST', 'localhost')
    os.environ.setdefault('MASTER_ADDR', first_host(nodes))
    os.environ.setdefault('MASTER_PORT', str(step_port()))


def step_size() -> int | None:
    """Number of processes that srun has started; None in a process that it did not start.

    A batch script has ``SLURM_NTASKS`` and ``SLURM_PROCID``, too, and is alone.
    """
    size = os.environ.get('SLURM_STEP_NUM_TASKS')
    return int(size) if size and 'SLURM_PROCID' in os.environ else None


def step_port() -> int:
    """A port of the step's own, the same in all its processes; mmengine's is 29500 for all of a machine."""
    job, step = int(os.environ.get('SLURM_JOB_ID', 0)), os.environ.get('SLURM_STEP_ID', '0')
    return _FIRST_PORT + (job * 31 + (int(step) if step.isdigit() else 0)) % _PORTS
