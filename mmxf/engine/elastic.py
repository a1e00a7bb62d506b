"""Attempts of torchrun after the first: where they continue, and how their processes meet."""
from __future__ import annotations

import os
import os.path as osp
from datetime import timedelta
from pathlib import Path
from typing import Any

from .atomic_files import write_atomically

_STARTED = '.elastic_start'
_STOPPED = 'MMXF_STOPPED'                  # a file, named by tools/_launch.sh


def resume_after_restart(cfg: Any) -> str | None:
    """Let a run that torchrun starts anew, after a process of it was killed, continue where it was.

    The first attempt leaves a mark; later ones resume if a checkpoint has been written since. Without one they begin as the first
    did.

    Args:
        cfg: the config, with ``work_dir``; ``resume`` and ``load_from`` are set.

    Returns:
        a line that says what was decided; None for a first attempt, or outside torchrun.
    """
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT')
    if attempt is None:
        return None
    mark, pointer = Path(cfg['work_dir'], _STARTED), Path(cfg['work_dir'], 'last_checkpoint')
    if attempt == '0':
        if os.environ.get('RANK', '0') == '0' and int(os.environ.get('TORCHELASTIC_MAX_RESTARTS', 0)) > 0:
            write_atomically(mark, os.environ.get('TORCHELASTIC_RUN_ID', '').encode())
        return None
    fresh = pointer.is_file() and (not mark.is_file() or pointer.stat().st_mtime_ns >= mark.stat().st_mtime_ns)
    if not fresh:
        return f'Attempt {int(attempt) + 1} of torchrun, nothing saved yet: beginning as the first did'
    cfg['resume'], cfg['load_from'] = True, None
    return f'Attempt {int(attempt) + 1} of torchrun: resuming from {osp.basename(pointer.read_text().strip())}'


def tell_launcher(status: int) -> None:
    """Leave word for ``dist_train.sh`` that the run has stopped as it was told to; torchrun makes a 1 of any status."""
    mark = os.environ.get(_STOPPED)
    if mark and os.environ.get('LOCAL_RANK', '0') == '0':
        Path(mark).write_text(str(status))


def rejoin_processes(cfg: Any, launcher: str) -> bool:
    """Start the process group of an attempt of torchrun after the first. Does nothing otherwise.

    torchrun's processes meet in one store for all attempts, in which gloo and NCCL would find the addresses of those that were
    killed (torch 2.13). Here every attempt writes under its own name.
    """
    attempt = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
    if launcher != 'pytorch' or attempt == '0':
        return False
    import torch
    from torch import distributed

    gpu = torch.cuda.is_available()
    settings = dict((cfg.get('env_cfg') or {}).get('dist_cfg') or {})
    if gpu:
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
    timeout = timedelta(seconds=settings.get('timeout', 1800))
    store, rank, world_size = next(distributed.rendezvous('env://', timeout=timeout))
    distributed.init_process_group(settings.get('backend', 'nccl') if gpu else 'gloo', rank=rank, world_size=world_size,
                                   store=distributed.PrefixStore(f'attempt_{attempt}', store), timeout=timeout)
    return True
