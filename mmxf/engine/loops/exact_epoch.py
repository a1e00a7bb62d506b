"""Epoch-based training that continues exactly, also from a checkpoint in the middle of an epoch."""
from __future__ import annotations

from typing import Any

from mmengine.runner import EpochBasedTrainLoop

from mmxf.registry import LOOPS

from .exact_resume import ExactResume, exact_dataloader_cfg


@LOOPS.register_module()
class ExactEpochBasedTrainLoop(ExactResume, EpochBasedTrainLoop):
    """mmengine's EpochBasedTrainLoop; a killed and resumed run ends as one that was not interrupted.

    Works with checkpoints by epoch and by iteration (``AtomicCheckpointHook(by_epoch=False)``).

    Args:
        max_bad_samples: see :class:`mmxf.datasets.tolerant.TolerantDataset`, which is put around the data set.
        Others as in mmengine.
    """

    def __init__(self, runner, dataloader: Any, max_epochs: int, val_begin: int = 1, val_interval: int = 1,
                 dynamic_intervals: list[tuple[int, int]] | None = None,
                 max_bad_samples: int | float | None = None) -> None:
        super().__init__(runner, exact_dataloader_cfg(runner, dataloader, False, max_bad_samples),
                         max_epochs=max_epochs, val_begin=val_begin, val_interval=val_interval,
                         dynamic_intervals=dynamic_intervals)
        self._prepare_exactness()

    def run(self):
        """Train; returns the model."""
        self.runner.call_hook('before_train')
        self._enter_stream()
        self._decide_current_val_interval()
        if self._iter == self._epoch * len(self.dataloader):
            self._validate_if_interrupted(self._validation_due())
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._decide_current_val_interval()
            if self._validation_due():
                self._validate()
        self._stop_workers()
        self.runner.call_hook('after_train')
        return self.runner.model

    def run_epoch(self) -> None:
        """One pass over the data, or the rest of one."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        done = max(0, self._iter - self._epoch * len(self.dataloader))
        self._skip_batches(done, done * self._global_batch())
        for index, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(index, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1

    def _validation_due(self) -> bool:
        return (self.runner.val_loop is not None and self._epoch >= self.val_begin
                and (self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs))
