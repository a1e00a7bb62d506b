"""Signals that come before a run can save: while it imports, builds and checks its data."""
from __future__ import annotations

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
    """Listen from now on, in a process that srun has started; None where nothing was done."""
    if launcher != 'slurm' or threading.current_thread() is not threading.main_thread():
        return None
    early = EarlySignals()
    for name in ('SIGTERM', 'SIGUSR1'):
        if signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:
            signal.signal(getattr(signal, name), early)
    return early
