"""Runs that repeat bit for bit, and what stood in the way."""
from __future__ import annotations

import re
import warnings
from typing import Any

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook

from mmxf.registry import HOOKS

_MESSAGE = re.compile(r'(\S+) does not have a deterministic implementation')


@HOOKS.register_module()
class DeterminismHook(Hook):
    """Has torch choose deterministic algorithms, and lists every operation without one that the run met.

    Where mmengine's ``randomness.deterministic`` ends the run at the first such operation, this goes on and names it in the log
    when it is first met and, with the others of all ranks, at the end. A run with none repeats bit for bit with the same seed,
    number of processes, threads, machine and versions. Seeds are in the log, and in every checkpoint (``meta.seed``, and
    ``training_state.stream.seed`` for the data).
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self.met: list[str] = []
        self._show: Any = None
        self._before = (False, False)
        self._filters: list = []

    def before_train(self, runner) -> None:
        self._before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        self.met, self._show, self._filters = [], warnings.showwarning, warnings.filters[:]
        warnings.filterwarnings('always', message='.*does not have a deterministic implementation.*')

        def show(message, category, filename, lineno, file=None, line=None) -> None:
            found = _MESSAGE.search(str(message))
            if found is None:
                self._show(message, category, filename, lineno, file, line)
            elif found.group(1) not in self.met:
                self.met.append(found.group(1))
                runner.logger.warning(f'Iteration {runner.iter + 1}: {found.group(1)} has no deterministic implementation on '
                                      'this device; runs may differ from here on')

        warnings.showwarning = show
        sampler = getattr(runner.train_dataloader, 'sampler', None)
        runner.logger.info(f'Deterministic run: seed {runner.seed}, data stream seed {getattr(sampler, "seed", "unknown")}, '
                           f'{torch.get_num_threads()} threads, {runner.world_size} processes')

    def after_train(self, runner) -> None:
        warnings.showwarning, warnings.filters[:] = self._show, self._filters
        torch.use_deterministic_algorithms(self._before[0], warn_only=self._before[1])
        met = sorted({name for names in all_gather_object(self.met) for name in names})
        if met:
            runner.logger.warning(f'{len(met)} operations without a deterministic implementation were met: {", ".join(met)}. '
                                  'Runs with the same seed may differ')
        else:
            runner.logger.info('No operation without a deterministic implementation was met: the same seed gives the same bits')
