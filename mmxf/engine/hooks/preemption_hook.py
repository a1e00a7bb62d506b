"""A run that is told to make room saves within the step and leaves with a status that means: start me again."""
from __future__ import annotations

import json
import os
import os.path as osp
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop

from mmxf.registry import HOOKS

from ..atomic_files import write_atomically
from ..distributed import leave_processes
from ..elastic import tell_launcher
from ..worker_signals import FORKED_DEFAULTS, shield_workers
from .atomic_checkpoint_hook import AtomicCheckpointHook

# EX_TEMPFAIL of <sysexits.h>: "temporary failure; the user is invited to retry".
PREEMPTED_STATUS = 75
MARKER = 'preempted.json'


class Preempted(SystemExit):
    """The run was told to stop and has saved; the process ends with status 75."""

    def __init__(self) -> None:
        super().__init__(PREEMPTED_STATUS)


@HOOKS.register_module()
class PreemptionHook(Hook):
    """On SIGTERM or SIGUSR1 (slurm's ``--signal``) to any rank, all ranks save after the present step and exit with 75.

    The ranks agree once an iteration by a maximum over one number. A signal during validation is seen after the batch
    that is being validated; the resumed run validates anew; one that came while the run was being built is seen after
    its first iteration. ``work_dir/preempted.json`` says where the run stopped, until it is started again.

    Data workers, to which slurm sends its signals too, go on until their own process ends them.

    Args:
        signals: names of the signals.
        interval: iterations between two agreements.
    """

    # After all other hooks: what they do in this step belongs to the step that is saved.
    priority = 'LOWEST'

    def __init__(self, signals: Sequence[str] = ('SIGTERM', 'SIGUSR1'), interval: int = 1) -> None:
        unknown = [name for name in signals if not hasattr(signal, name)]
        if unknown:
            raise ValueError(f'PreemptionHook: this system has no signals {unknown}; slurm sends SIGTERM and SIGUSR1')
        if interval < 1:
            raise ValueError(f'PreemptionHook: interval must be at least 1, got {interval}')
        self.signals = [getattr(signal, name) for name in signals]
        self.interval = interval
        self._received = 0
        self._before: dict[int, Any] = {}
        self._common_batches = 0

    def before_run(self, runner) -> None:
        loop = runner._train_loop
        if isinstance(loop, BaseLoop):               # no config of one, as in a test
            loop.run = partial(self._run, loop.run)

    def _run(self, run: Callable[[], Any]) -> Any:
        """Runs the loop. A process whose run has failed must be one that SIGTERM ends; one told to stop ends in peace."""
        try:
            return run()
        except (Exception, KeyboardInterrupt):
            self._restore()
            raise

    def before_train(self, runner) -> None:
        if is_main_process():
            Path(runner.work_dir, MARKER).unlink(missing_ok=True)
        shield_workers(runner.train_dataloader, self.signals)
        if runner.val_loop is not None:
            shield_workers(runner.val_dataloader, self.signals)
        if threading.current_thread() is not threading.main_thread():
            runner.logger.warning('PreemptionHook: only the main thread receives signals, and training runs in another')
            return
        for number in self.signals:
            self._before[number] = signal.signal(number, self._note)
            # One that came while the run was being built; the command line's handler has it.
            self._received = self._received or getattr(self._before[number], 'received', 0)
        FORKED_DEFAULTS.signals = tuple(self._before)

    def after_train(self, runner) -> None:
        self._restore()

    def _restore(self) -> None:
        FORKED_DEFAULTS.signals = ()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def after_train_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None) -> None:
        if (runner.iter + 1) % self.interval == 0:
            self._stop_if_told(runner, runner.iter + 1)

    def before_val(self, runner) -> None:
        # Ranks may have different numbers of batches; they can only agree after those that all of them have.
        loader = runner.val_dataloader
        length = len(loader) if hasattr(loader, '__len__') else 0
        self._common_batches = min(all_gather_object(length)) if self._before else 0

    def after_val_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: Sequence | None = None) -> None:
        if batch_idx < self._common_batches and runner.iter > 0:
            self._stop_if_told(runner, runner.iter)  # the loop has counted the last iteration already

    def _note(self, number: int, frame: Any) -> None:
        self._received = number

    def _stop_if_told(self, runner, iteration: int) -> None:
        told = torch.tensor(self._received)
        if get_world_size() > 1:
            all_reduce(told, 'max')
        if not told.item():
            return
        name = signal.Signals(int(told)).name
        runner.logger.warning(f'{name} received (rank {get_rank()} {"" if self._received else "not "}itself): saving at '
                              f'iteration {iteration} and stopping')
        saved = save_now(runner, iteration)
        if is_main_process():
            try:
                write_atomically(osp.join(runner.work_dir, MARKER), json.dumps(
                    dict(signal=name, iteration=iteration, checkpoint=saved, process=os.getpid(),
                         job=os.environ.get('SLURM_JOB_ID'))).encode())
            except OSError as error:         # a full disk, which has been reported with the checkpoint
                runner.logger.warning(str(error))
        tell_launcher(PREEMPTED_STATUS)
        runner.logger.warning(f'Stopped at iteration {iteration} with status {PREEMPTED_STATUS}, '
                              f'{saved or "nothing saved"}. Go on with --resume')
        stop_workers = getattr(runner.train_loop, '_stop_workers', None)
        if stop_workers is not None:
            stop_workers()
        leave_processes()
        raise Preempted


def save_now(runner, iteration: int) -> str | None:
    """A checkpoint of the run as it is after ``iteration`` iterations; all ranks call this together.

    Returns:
        the last good checkpoint: this one, or an earlier one where it could not be written (which is logged).
    """
    for hook in runner.hooks:
        if isinstance(hook, AtomicCheckpointHook):
            return hook.save_now(runner, iteration)
    filename = f'iter_{iteration}.pth'
    runner.save_checkpoint(runner.work_dir, filename, by_epoch=False, meta=dict(epoch=runner.epoch, iter=iteration))
    path = osp.join(runner.work_dir, filename)
    if is_main_process():
        write_atomically(osp.join(runner.work_dir, 'last_checkpoint'), path.encode())
    return path
