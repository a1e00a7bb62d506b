"""Hooks for trainings of the tests, whose configs name this module in custom_imports."""
import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmxf.registry import HOOKS


@HOOKS.register_module()
class KillHook(Hook):
    """SIGKILL at a random moment after a file has appeared.

    Args:
        after: name of a file of the work_dir.
        within: seconds from then on.
        before: iteration that is not begun alive; the hook waits there for the signal.
        seed: of the moment.
    """

    def __init__(self, *, after: str, within: float, before: int, seed: int = 0) -> None:
        self.after, self.before = after, before
        self.delay = random.Random(seed).uniform(0, within)

    def before_train(self, runner: Runner) -> None:
        self.thread = threading.Thread(target=self._kill, args=(Path(runner.work_dir) / self.after,), daemon=True)
        self.thread.start()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if batch_idx == self.before:
            self.thread.join()

    def _kill(self, sign: Path) -> None:
        while not sign.exists():
            time.sleep(0.005)
        time.sleep(self.delay)
        os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class RecordHook(Hook):
    """Writes this process's losses of each iteration into ``losses_<rank>.json``; batch norms stay as they are.

    Statistics of a batch are of one process's images (SyncBN needs GPUs), so only without them can several processes
    equal one.
    """

    def before_train(self, runner: Runner) -> None:
        self.losses = []

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        for module in runner.model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        self.losses.append({name: value.item() for name, value in outputs.items()})

    def after_train(self, runner: Runner) -> None:
        (Path(runner.work_dir) / f'losses_{get_rank()}.json').write_text(json.dumps(self.losses))
