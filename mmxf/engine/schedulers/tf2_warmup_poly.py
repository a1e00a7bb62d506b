"""The learning rate schedule of DeepLab2 and kMaX-DeepLab.

Rule: detectron2's linear warm-up, then a polynomial that is counted from iteration 0, not from the end of the warm-up.
At the end of the warm-up the rate therefore steps down from its full value to the polynomial (to 0.9699 of it for 5000
of 150 000 iterations).
"""
from __future__ import annotations

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, OptimizerType, _ParamScheduler

from mmxf.config import UserError
from mmxf.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class TF2WarmupPolyLR(LRSchedulerMixin, _ParamScheduler):
    """Linear warm-up and polynomial decay, by iteration.

    At iteration t (from 0) the rate is the base rate times
        ``warmup_factor + (1 - warmup_factor) * t / warmup_iters``   while t < warmup_iters,
        ``(1 - t / max_iters) ** power``                              then, at least ``constant_ending``.

    Args:
        optimizer: optimiser or its wrapper.
        max_iters: where the polynomial reaches 0. None: ``end``, which the Runner sets to the loop's iterations, so
            that the number is written once.
        warmup_iters: length of the warm-up.
        warmup_factor: share of the base rate at iteration 0.
        power: of the polynomial.
        constant_ending: the rate stays at this share once the polynomial is below it. 0: off.
        begin, end, last_step, by_epoch, verbose: as in mmengine.
    """

    def __init__(self, optimizer: OptimizerType, max_iters: int | None = None, warmup_iters: int = 5000,
                 warmup_factor: float = 0.001, power: float = 0.9, constant_ending: float = 0., begin: int = 0,
                 end: int = INF, last_step: int = -1, by_epoch: bool = False, verbose: bool = False) -> None:
        if max_iters is None:
            if end >= INF:
                raise ValueError('TF2WarmupPolyLR needs max_iters (or end) when no Runner builds it')
            max_iters = end - begin
            if max_iters <= 1:
                # mmengine's Runner reads by_epoch from the config alone and takes epochs when it is not there.
                raise UserError('TF2WarmupPolyLR would end after one step: write by_epoch=False in param_scheduler, and train '
                                'for more than one iteration (train_cfg.max_iters)')
        if warmup_iters < 0 or max_iters <= 0:
            raise ValueError(f'warmup_iters={warmup_iters} and max_iters={max_iters} must not be negative')
        self.max_iters, self.warmup_iters, self.warmup_factor = max_iters, warmup_iters, warmup_factor
        self.power, self.constant_ending = power, constant_ending
        super().__init__(optimizer, begin=begin, end=end, last_step=last_step, by_epoch=by_epoch, verbose=verbose)

    def factor(self, iteration: int) -> float:
        """Share of the base rate at an iteration, counted from 0."""
        if iteration < self.warmup_iters:
            progress = iteration / self.warmup_iters
            return self.warmup_factor * (1 - progress) + progress
        poly = max(0., 1 - iteration / self.max_iters) ** self.power
        return max(poly, self.constant_ending)

    def _get_value(self) -> list[float]:
        factor = self.factor(self.last_step)
        return [base * factor for base in self.base_values]
