"""A hook that kills its own training: configs of the tests name it in custom_imports."""
import os
import random
import signal
import threading
import time
from pathlib import Path

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
