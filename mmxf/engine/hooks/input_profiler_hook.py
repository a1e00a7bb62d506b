"""How much of a run is spent waiting for data, and what to do about it."""
from __future__ import annotations

import os
import time
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from mmxf.cores import available_cores
from mmxf.registry import HOOKS


@HOOKS.register_module()
class InputProfilerHook(Hook):
    """Each ``interval`` iterations logs the share of the time in which the slowest rank waited for its batch.

    Above ``threshold`` it says what would help. The share is also logged as the scalar ``train/data_share``. Validations and
    checkpoints count as neither waiting nor computing.

    Args:
        interval: iterations between two reports; the first of them, in which workers start, is left out.
        threshold: share above which there is advice.
    """

    # After the other hooks: what they do after a step is no waiting for data.
    priority = 'LOWEST'

    def __init__(self, interval: int = 500, threshold: float = 0.1) -> None:
        if interval < 1 or not 0 < threshold <= 1:
            raise ValueError(f'InputProfilerHook: interval={interval} must be at least 1 and threshold={threshold} in (0, 1]')
        self.interval, self.threshold = interval, threshold
        self._left_at: float | None = None
        self._began_at = 0.
        self._waited = self._computed = 0.
        self._count = 0

    def before_train(self, runner) -> None:
        self._left_at, self._waited, self._computed, self._count = None, 0., 0., 0

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        self._began_at = time.perf_counter()
        if self._left_at is not None:
            self._waited += self._began_at - self._left_at

    def after_train_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None) -> None:
        now = time.perf_counter()
        if self._left_at is not None:
            self._computed += now - self._began_at
            self._count += 1
        if self._count == self.interval:
            self._report(runner)
            self._waited, self._computed, self._count = 0., 0., 0
        self._left_at = time.perf_counter()

    def before_val(self, runner) -> None:
        self._left_at = None    # the iteration after a validation is not timed

    def _report(self, runner) -> None:
        share, waited, step = max((w / max(w + c, 1e-9), w, c) for w, c in all_gather_object((self._waited, self._computed)))
        runner.message_hub.update_scalar('train/data_share', share)
        text = (f'Waiting for data: {share:.0%} of the last {self.interval} iterations '
                f'({1e3 * waited / self.interval:.0f} of {1e3 * (waited + step) / self.interval:.0f} ms)')
        if share <= self.threshold:
            runner.logger.info(text)
            return
        runner.logger.warning(text + '. ' + '; '.join(advice(runner.train_dataloader, waited / max(step, 1e-9))) +
                              '. mmxf benchmark CONFIG --data shows which step takes how long')


def advice(loader: DataLoader, waiting: float) -> list[str]:
    """What would shorten the waiting for a data loader's batches.

    Args:
        loader: the training's.
        waiting: time spent waiting, as a multiple of that spent computing.
    """
    cores = available_cores()
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    workers, found = loader.num_workers, []
    wanted = max(workers + 1, round(max(1, workers) * (1 + waiting)))
    possible = max(1, cores // processes - 1)
    if workers < possible:
        found.append(f'more workers: train_dataloader.num_workers={min(wanted, possible)} instead of {workers} (this machine has '
                     f'{cores} cores for {processes} process{"es" if processes > 1 else ""})')
    elif workers > cores // processes:
        found.append(f'fewer workers: {workers} x {processes} processes share {cores} cores')
    else:
        found.append(f'{workers} workers a process already use the {cores} cores')
    if workers and not loader.persistent_workers:
        found.append('train_dataloader.persistent_workers=True, so that workers are not started anew for every epoch')
    kinds = [type(transform).__name__ for transform in _transforms(loader.dataset)]
    if 'LoadImageFromFile' in kinds:
        found.append('images much larger than what the network sees: mmxf.LoadReducedImage in place of LoadImageFromFile decodes '
                     'JPEGs at a half, a quarter or an eighth')
        found.append('a disk that is slow: copy data_root to a local disk or to /dev/shm')
    if 'LoadAnnotations' in kinds or 'LoadPanopticAnnotations' in kinds:
        found.append('mmdet\'s masks are bitmaps, one for each object: mmxf.LoadPanopticSegments keeps one map')
    return found


def _transforms(dataset: Any) -> list:
    for _ in range(8):
        pipeline = getattr(dataset, 'pipeline', None)
        if pipeline is not None and hasattr(pipeline, 'transforms'):
            return list(pipeline.transforms)
        inner = getattr(dataset, 'datasets', None)
        dataset = inner[0] if inner else getattr(dataset, 'dataset', None)
    return []
