"""Parts of a piece of work on several threads at once: those that torch's own operators use.

After each operator the threads of torch's OpenMP spin for some milliseconds, waiting for the next. Threads besides them would
share their cores, and gain next to nothing on a machine that has as many cores as torch has threads. So the parts are given to
that team, through the entry point that compiled code uses (GCC's, which other OpenMP libraries have too). Where there is none
(macOS, Windows, other builds of torch), and in forked processes, where that team hangs, Python's threads take them.
"""
import ctypes
import functools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

_Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _State:
    """What a forked process must have anew."""

    def __init__(self, forked: bool = True) -> None:
        self.forked = forked
        self.lock = threading.Lock()
        self.pool: ThreadPoolExecutor | None = None


_state = _State(forked=False)
if hasattr(os, 'register_at_fork'):          # not on Windows
    os.register_at_fork(after_in_child=_state.__init__)


@functools.cache
def _openmp() -> tuple[Callable, Callable, Callable] | None:
    """Of torch's OpenMP: ``GOMP_parallel(function, data, threads, flags)``, ``omp_get_thread_num``, ``omp_get_num_threads``."""
    library = Path(torch.__file__).parent / 'lib' / 'libtorch_cpu.so'
    if sys.platform != 'linux' or 'backend: OpenMP' not in torch.__config__.parallel_info():
        return None
    try:
        # A library's symbols are looked for in those that it needs, too, and nowhere else.
        start = ctypes.CDLL(str(library)).GOMP_parallel
        keeps_lock = ctypes.PyDLL(str(library))
        number, count = keeps_lock.omp_get_thread_num, keeps_lock.omp_get_num_threads
    except (OSError, AttributeError):
        return None
    start.argtypes, start.restype = (_Callback, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
    return start, number, count


def run(parts: list[Callable[[], None]]) -> None:
    """Calls each part once, each on a thread of its own where that can be, and returns when all are done.

    Args:
        parts: functions that give up Python's lock while they work, at most as many as torch has threads.

    Raises:
        whatever a part raises.
    """
    if len(parts) == 1:
        parts[0]()
    elif _state.forked or _openmp() is None:
        _in_pool(parts)
    else:
        _in_team(parts)


def _in_team(parts: list[Callable[[], None]]) -> None:
    start, number, count = _openmp()
    waiting, errors = dict(enumerate(parts)), []

    def member(_) -> None:
        try:
            for k in range(number(), len(parts), count()):       # the team may be smaller than asked for
                waiting[k]()
                del waiting[k]
        except BaseException as error:       # Ctrl-C, too, is answered outside of the team
            errors.append(error)

    start(_Callback(member), None, len(parts), 0)
    if errors:
        raise errors[0]
    for part in waiting.values():            # interrupted before the first line
        part()


def _in_pool(parts: list[Callable[[], None]]) -> None:
    futures = []
    for part in parts[1:]:
        try:
            with _state.lock:
                if _state.pool is None:
                    _state.pool = ThreadPoolExecutor(os.cpu_count(), 'mmxf-ops')
                futures.append(_state.pool.submit(part))
        except RuntimeError:                 # the interpreter is shutting down, or no thread can be started
            part()
    try:
        parts[0]()
    finally:
        for future in futures:
            future.result()
