"""Several processes on a machine without GPUs, which mmengine's own start does not allow."""
from __future__ import annotations

import atexit
import logging
import os
import sys
from typing import Any

import torch
from mmengine.device import get_device

from mmxf.config.errors import UserError


def prepare_cpu_processes(cfg: Any, launcher: str) -> bool:
    """Let ``Runner.from_cfg(cfg)`` run in several CPU processes (gloo). With a GPU, or one process, nothing changes.

    mmengine's start asks for a GPU by rank, and hands ``device_ids`` to DistributedDataParallel, which wants none on
    the CPU. Call this before building the Runner, under slurm after :func:`mmxf.engine.slurm.join_slurm_step`.

    Args:
        cfg: the config; ``model_wrapper_cfg`` is set, and ``sync_bn`` dropped: torch's SyncBatchNorm needs GPUs.
        launcher: 'none', 'pytorch' (torchrun) or 'slurm'.

    Returns:
        whether anything was done.
    """
    if launcher == 'none' or get_device() != 'cpu':
        return False
    if launcher not in ('pytorch', 'slurm'):
        raise UserError(f'No GPU on this machine, and launcher {launcher!r} needs one: on the CPU use --launcher '
                        'pytorch (torchrun), slurm, or a single process')
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    os.environ.setdefault('LOCAL_RANK', '0')
    wrapper = dict(cfg.get('model_wrapper_cfg') or dict(type='MMDistributedDataParallel', broadcast_buffers=False))
    wrapper.setdefault('find_unused_parameters', cfg.get('find_unused_parameters', False))
    wrapper['device_ids'] = None
    cfg['model_wrapper_cfg'] = wrapper
    if cfg.get('sync_bn') is not None:
        cfg['sync_bn'] = None
    return True


def leave_processes(status: int | None = None) -> None:
    """The last call of a run: all its processes end together. One that exits while gloo still serves another is aborted.

    Args:
        status: ends this process here with that exit status, after what ``atexit`` holds, where it is one of several.
            The interpreter's own end would tear down gloo's threads, which now and then aborts a run that is done.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    torch.distributed.barrier()
    if status is None:
        torch.distributed.destroy_process_group()
        return
    atexit._run_exitfuncs()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
