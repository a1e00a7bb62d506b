"""Signals that come before a run can save: while it imports, builds and checks its data; and those that it has obeyed."""
from __future__ import annotations

import os
import signal
import threading
from typing import Any


class EarlySignals:
    """Notes slurm's signals until ``PreemptionHook`` listens, which takes over what was noted (``received``).

    By default they would kill the process, and the run would look like one that failed.
    """

    def __init__(self) -> None:
        self.received = 0

    def __call__(self, number: int, frame: Any) -> None:
        self.received = number


def note_early_signals(launcher: str) -> EarlySignals | None:
    """Listen from now on, in a process that srun or dist_train.sh has started; None where nothing was done.

    torchrun's TERM is left alone: it ends the processes of a run one of which has failed to start.
    """
    names = {'slurm': ('SIGTERM', 'SIGUSR1'), 'pytorch': ('SIGUSR1', )}.get(launcher)
    if names is None or threading.current_thread() is not threading.main_thread():
        return None
    early = EarlySignals()
    for name in names:
        if signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:
            signal.signal(getattr(signal, name), early)
    return early


def stopped_before() -> int | None:
    """The status with which a run stopped as it was told to, when torchrun now starts it again (see `elastic.tell_launcher`)."""
    mark = os.environ.get('MMXF_STOPPED')
    if not mark or os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') == '0':
        return None
    try:
        with open(mark) as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
