"""Data workers that outlive a signal meant for the run, but not the run.

slurm sends its signals to every process of a job step. A worker that dies of one takes the training down with it before it has
saved. And torch's workers look whether their parent changes, which it does not for one whose parent was killed before it began.
"""
from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from torch.utils.data import DataLoader

PATROL = 5.0                               # seconds between looks whether the run is alive


def shield_workers(dataloader: DataLoader, signals: Sequence[int]) -> None:
    """Let the workers that ``dataloader`` starts from now on ignore ``signals``, except from the process that started them.

    That one ends slow workers by SIGTERM.
    """
    if not isinstance(dataloader, DataLoader) or dataloader.num_workers == 0 or not hasattr(signal, 'sigtimedwait'):
        return
    if not isinstance(dataloader.worker_init_fn, _Shielded):
        dataloader.worker_init_fn = _Shielded(dataloader.worker_init_fn, tuple(int(number) for number in signals))


class _Shielded:
    """worker_init_fn, and then the shield."""

    def __init__(self, init: Callable | None, signals: tuple[int, ...]) -> None:
        self.init, self.signals = init, signals

    def __call__(self, worker: int) -> None:
        if self.init is not None:
            self.init(worker)
        # Blocked in this and all later threads, taken by one that can see who sent them.
        signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)
        threading.Thread(target=_take, args=(self.signals, multiprocessing.parent_process().pid), daemon=True).start()


def _take(signals: tuple[int, ...], parent: int) -> None:
    while not _has_ended(parent):
        received = signal.sigtimedwait(signals, PATROL)
        if received is not None and received.si_pid == parent:
            os._exit(0)
    os._exit(1)


def _has_ended(run: int) -> bool:
    """Also True while nobody has asked for its status yet, who may be waiting for this worker's end of a pipe."""
    if os.getppid() == run:
        return False
    try:                                   # a fork server's children have another parent
        os.kill(run, 0)
    except (ProcessLookupError, PermissionError):      # nobody has its number, or somebody else
        return True
    try:
        return Path(f'/proc/{run}/stat').read_text().rpartition(')')[2].split()[0] in 'ZX'
    except OSError:                        # a system without /proc
        return False


class ForkedDefaults:
    """Gives processes forked from this one, as a metric's pool is, the signals' default handlers: SIGTERM ends them.

    A signal that comes right after the fork waits until the child has them. Python would run the parent's handler in the child,
    or drop the signal.
    """

    def __init__(self) -> None:
        self.signals: tuple[int, ...] = ()
        self._mask: set = set()
        if hasattr(os, 'register_at_fork'):
            os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._in_child)

    def _before(self) -> None:
        if self.signals:
            self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self.signals)

    def _after(self) -> None:
        if self.signals:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _in_child(self) -> None:
        signals, self.signals = self.signals, ()
        for number in signals:
            signal.signal(number, signal.SIG_DFL)
        if signals:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


# One for the process: what is registered at a fork stays so.
FORKED_DEFAULTS = ForkedDefaults()
