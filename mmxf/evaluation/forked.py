"""A function over many items in forked processes, which see what the caller has without its being sent."""
from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

T = TypeVar('T')
_PR_SET_PDEATHSIG = 1                      # <linux/prctl.h>
_function: Callable[[int], object]         # in a process of the pool


def can_fork() -> bool:
    """Elsewhere a fork is unsafe, or a process has to import everything anew; a pool's own processes may not have any."""
    return sys.platform == 'linux' and not multiprocessing.current_process().daemon


def map_in_order(function: Callable[[int], T], count: int, workers: int) -> Iterator[T]:
    """``function(0)`` ... ``function(count - 1)``, in this order.

    Args:
        function: of an index; anything that can be called, closures too. What it returns or raises is pickled.
        count: how many; each should take some milliseconds, and a process of its own pays for tens of them.
        workers: processes. One is the caller's own.

    Raises:
        RuntimeError: a process ended, as by the system when memory is short.
        Exception: what ``function`` raises, that of the smallest index first.
    """
    workers = min(workers, count)
    if workers <= 1 or not can_fork():
        yield from map(function, range(count))
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context('fork'), _begin, (function, os.getpid()))
    try:
        with warnings.catch_warnings():    # of forks beside threads: the processes only read files and count
            warnings.simplefilter('ignore', DeprecationWarning)
            found = pool.map(_work, range(count))
        yield from found
    except BrokenProcessPool:
        raise RuntimeError(f'one of {workers} processes ended early (out of memory?); fewer workers need less') from None
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(function: Callable[[int], object], parent: int) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)     # the caller is interrupted too, and ends these
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:             # it was killed before
        os._exit(1)


def _work(index: int) -> object:
    return _function(index)
