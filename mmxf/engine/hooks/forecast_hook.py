"""How long the run will take, and whether memory and disk will do, said in its first minute."""
from __future__ import annotations

import resource
import shutil
import sys
import time
from datetime import datetime, timedelta
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmxf.registry import HOOKS


@HOOKS.register_module()
class ForecastHook(Hook):
    """Logs expected end, peak memory and the disk space of the checkpoints after the first iterations.

    Args:
        after_iters: iterations before the forecast; the first fifth, with its warm-up, is not timed.
    """

    priority = 'LOW'

    def __init__(self, after_iters: int = 20) -> None:
        if after_iters < 2:
            raise ValueError(f'after_iters must be at least 2, got {after_iters}')
        self.after_iters = after_iters
        self.warmup = max(1, after_iters // 5)
        self._seen = 0
        self._start = 0.0

    def before_train(self, runner) -> None:
        self._seen = 0

    def after_train_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None) -> None:
        if self._seen > self.after_iters:
            return
        self._seen += 1
        if self._seen == self.warmup:
            self._start = time.perf_counter()
        if self._seen == self.after_iters:
            self._seen += 1
            self._report(runner, (time.perf_counter() - self._start) / (self.after_iters - self.warmup))

    def _report(self, runner, seconds: float) -> None:
        left = runner.max_iters - runner.iter - 1
        duration = timedelta(seconds=round(seconds * left))
        end = datetime.now() + duration
        lines = [f'Forecast: {seconds:.3f} s per iteration, {left} iterations left: {duration} without validation, '
                 f'until about {end:%Y-%m-%d %H:%M}', peak_memory()]
        if runner.val_loop is not None:
            lines.append(f'{len(runner.val_loop.dataloader)} batches in each validation')
        size, count = checkpoint_bytes(runner), self._checkpoints_left(runner, left)
        if count:
            free = shutil.disk_usage(runner.work_dir).free
            lines.append(f'{count} checkpoints of {size / 1e9:.2f} GB to come, {free / 1e9:.1f} GB free')
            if size * count > free:
                runner.logger.warning(f'The disk of {runner.work_dir} will be full after {int(free // size)} more '
                                      'checkpoints: set default_hooks.checkpoint.max_keep_ckpts')
        runner.logger.info('; '.join(lines))

    def _checkpoints_left(self, runner, left: int) -> int:
        for hook in runner.hooks:
            if hasattr(hook, 'max_keep_ckpts') and getattr(hook, 'interval', -1) > 0:
                interval = hook.interval * (len(runner.train_dataloader) if hook.by_epoch else 1)
                count = left // interval + 1
                # One more than is kept exists while the next one is written.
                return min(count, hook.max_keep_ckpts + 1) if hook.max_keep_ckpts > 0 else count
        return 0


def checkpoint_bytes(runner) -> int:
    """Size of a checkpoint: tensors of the model and of the optimiser's state as it is now."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    total = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values()
                if isinstance(tensor, torch.Tensor))
    optimizers = [runner.optim_wrapper] if hasattr(runner.optim_wrapper, 'optimizer') else \
        list(runner.optim_wrapper.values())
    for wrapper in optimizers:
        for state in wrapper.optimizer.state.values():
            total += sum(t.numel() * t.element_size() for t in state.values() if isinstance(t, torch.Tensor))
    return total


def peak_memory() -> str:
    """Peak memory of this process so far, in words."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
    text = f'peak memory of the process {peak / 1e9:.2f} GB'
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
        text = (f'peak GPU memory {torch.cuda.max_memory_reserved() / 1e9:.2f} GB reserved '
                f'({torch.cuda.max_memory_allocated() / 1e9:.2f} allocated) of {total / 1e9:.1f} GB, ' + text)
    return text
