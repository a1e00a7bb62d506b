"""Iteration-based training that continues exactly."""
from __future__ import annotations

from typing import Any

from mmengine.runner import IterBasedTrainLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator

from mmxf.registry import LOOPS

from .exact_resume import ExactResume, exact_dataloader_cfg


@LOOPS.register_module()
class ExactIterBasedTrainLoop(ExactResume, IterBasedTrainLoop):
    """mmengine's IterBasedTrainLoop; a killed and resumed run ends as one that was not interrupted.

    Needs ``default_hooks.checkpoint = dict(type='AtomicCheckpointHook', by_epoch=False, ...)``. mmengine's standard
    samplers are replaced by :class:`ResumableSampler`; resuming at iteration 100 000 is immediate.

    Args:
        max_bad_samples: see :class:`mmxf.datasets.tolerant.TolerantDataset`, which is put around the data set.
        Others as in mmengine.
    """

    def __init__(self, runner, dataloader: Any, max_iters: int, val_begin: int = 1, val_interval: int = 1000,
                 dynamic_intervals: list[tuple[int, int]] | None = None,
                 max_bad_samples: int | float | None = None) -> None:
        super().__init__(runner, exact_dataloader_cfg(runner, dataloader, True, max_bad_samples), max_iters=max_iters,
                         val_begin=val_begin, val_interval=val_interval, dynamic_intervals=dynamic_intervals)
        self._prepare_exactness()

    def run(self):
        """Train; returns the model."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self._enter_stream()
        self._skip_batches(self._iter, self._samples_before(self._iter))
        self.dataloader_iterator = _InfiniteDataloaderIterator(self.dataloader)
        self._decide_current_val_interval()
        self._validate_if_interrupted(self._validation_due())
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._decide_current_val_interval()
            if self._validation_due():
                self._validate()
        self.dataloader_iterator = None
        self._stop_workers()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _validation_due(self) -> bool:
        return (self.runner.val_loop is not None and self._iter >= self.val_begin
                and (self._iter % self.val_interval == 0 or self._iter == self._max_iters))
