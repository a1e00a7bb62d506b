"""One line that says how far the run is: drawn over and over on a terminal, now and then in a file."""
from __future__ import annotations

import logging
import resource
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from mmxf.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows ``train 120/480 25%  loss 2.31  lr 1.2e-03  0.43 s/iter, 3% waiting for data  1.9 GB  2:31 left, until 20:41``.

    On a terminal the line stays in place, below the log. Elsewhere (a file, slurm's output) it is a line of its own, at most one
    in `seconds`, without control characters. Also puts the memory of the process into the log where there is no GPU, so that it
    can be plotted.

    Args:
        seconds: between two lines in a file.
        stream: where it is written; None: standard error.
    """

    priority = 'NORMAL'     # before the log's hook, which takes up the memory

    def __init__(self, seconds: float = 60.0, stream: TextIO | None = None) -> None:
        if seconds <= 0:
            raise ValueError(f'seconds must be positive, got {seconds}')
        self.seconds, self._stream = seconds, stream
        self._last = self._start = 0.0
        self._shown = False
        self._pace: float | None = None
        self._waiting = 0.0
        self._began = self._fetched = None
        self._filter: _ClearsLine | None = None

    @property
    def stream(self) -> TextIO:
        return self._stream or sys.stderr

    def _terminal(self) -> bool:
        return bool(getattr(self.stream, 'isatty', lambda: False)())

    # ---- training

    def before_train(self, runner) -> None:
        self._watch(runner)
        self._began = time.perf_counter()
        self._last = time.monotonic()

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        self._fetched = time.perf_counter()

    def after_train_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None) -> None:
        if not torch.cuda.is_available():
            runner.message_hub.update_scalar('train/memory', process_memory() / 2**20)
        now = time.perf_counter()
        if self._began is not None and self._fetched is not None:
            whole, waited = now - self._began, self._fetched - self._began
            keep = 0.0 if self._pace is None else 0.9       # a moving average, so that the first iteration is soon forgotten
            self._pace = keep * (self._pace or 0.0) + (1 - keep) * whole
            self._waiting = keep * self._waiting + (1 - keep) * waited
        self._began = now
        done, total = runner.iter + 1, runner.max_iters
        if self._due(done, total):
            loss = (outputs or {}).get('loss')
            loss = loss.detach() if hasattr(loss, 'detach') else loss
            self._show('train', done, total, (total - done) * (self._pace or 0.0), [
                f'loss {float(loss):.4g}' if loss is not None and getattr(loss, 'numel', lambda: 1)() == 1 else '',
                _rate(runner), self._speed(), _memory()])

    def before_train_epoch(self, runner) -> None:
        self._began = time.perf_counter()

    def after_train(self, runner) -> None:
        self._unwatch(runner)

    # ---- validation and test

    def _begin_loop(self, runner) -> None:
        self._watch(runner)
        self._start = time.perf_counter()

    before_val_epoch = before_test_epoch = _begin_loop

    def after_val_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._after_eval('val', runner.val_dataloader, batch_idx)

    def after_test_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self._after_eval('test', runner.test_dataloader, batch_idx)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        self._began = time.perf_counter()       # what a validation takes is no pace of training

    def after_test(self, runner) -> None:
        self._unwatch(runner)

    def _after_eval(self, mode: str, loader: Any, batch_idx: int) -> None:
        done, total = batch_idx + 1, len(loader)
        if self._due(done, total):
            pace = (time.perf_counter() - self._start) / done
            images = getattr(loader, 'batch_size', None) or 1
            self._show(mode, done, total, pace * (total - done), [f'{images / max(pace, 1e-9):.1f} images/s', _memory()])

    # ---- the line

    def _due(self, done: int, total: int) -> bool:
        if not is_main_process():
            return False
        now = time.monotonic()
        wait = 0.1 if self._terminal() else self.seconds
        if now - self._last < wait and not (done == total and self._terminal()):
            return False
        self._last = now
        return True

    def _speed(self) -> str:
        if not self._pace:
            return ''
        return f'{self._pace:.3g} s/iter, {100 * self._waiting / self._pace:.0f}% waiting for data'

    def _show(self, mode: str, done: int, total: int, left: float, parts: list[str]) -> None:
        until = datetime.now() + timedelta(seconds=left)
        when = f'{until:%H:%M}' if left < 12 * 3600 else f'{until:%a %d %b %H:%M}'
        text = '  '.join([f'{mode} {done}/{total} {100 * done / total:.0f}%', *filter(None, parts),
                          f'{_clock(left)} left, until {when}' if done < total else 'done'])
        try:
            if self._terminal():
                self.stream.write(f'\r\x1b[K{text}' + ('\n' if done == total else ''))
                self._shown = done < total
            else:
                self.stream.write(text + '\n')
            self.stream.flush()
        except (OSError, ValueError):
            pass        # a closed terminal is no reason to end a run

    def clear(self) -> None:
        """Takes the line off the terminal, so that something else can be written."""
        if self._shown and self._terminal():
            self._shown = False
            self.stream.write('\r\x1b[K')
            self.stream.flush()

    def _watch(self, runner) -> None:
        if self._filter is None:
            self._filter = _ClearsLine(self)
            runner.logger.addFilter(self._filter)

    def _unwatch(self, runner) -> None:
        self.clear()
        if self._filter is not None:
            runner.logger.removeFilter(self._filter)
            self._filter = None


class _ClearsLine(logging.Filter):
    """Lets every record pass, and takes the progress line away before it."""

    def __init__(self, hook: ProgressHook) -> None:
        super().__init__()
        self.hook = hook

    def filter(self, record: logging.LogRecord) -> bool:
        self.hook.clear()
        return True


def process_memory() -> float:
    """Bytes that this process holds at present; its peak where the system does not tell."""
    try:
        return int(Path('/proc/self/statm').read_text().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)


def _rate(runner) -> str:
    try:
        values = runner.optim_wrapper.get_lr()
        rate = next(iter(values.values()))
        rate = rate[0] if isinstance(rate, (list, tuple)) else next(iter(rate.values()))[0]
        return f'lr {rate:.2e}'
    except (AttributeError, StopIteration, IndexError, TypeError):
        return ''


def _memory() -> str:
    """The GPU's peak, or the process's size."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return f'{torch.cuda.max_memory_allocated() / 2**30:.1f} GB'
    return f'{process_memory() / 2**30:.1f} GB'


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    text = f'{hours}:{minutes:02}:{seconds:02}' if hours or days else f'{minutes}:{seconds:02}'
    return f'{days} d {text}' if days else text
