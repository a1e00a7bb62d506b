"""Linear scaling of the learning rate to the real batch size.

Goyal et al., Accurate, Large Minibatch SGD, arXiv:1706.02677, section 2.1.
"""
from __future__ import annotations

from typing import Any

from mmengine.optim import OptimWrapperDict
from torch.utils.data import DataLoader


class BatchSizeError(ValueError):
    """auto_scale_lr.base_batch_size is no batch size."""


def scale_learning_rate(runner: Any, optim_wrapper: Any, auto_scale_lr: dict | None = None) -> float | None:
    """In place of mmengine's ``Runner.scale_lr``: on for every config that states ``auto_scale_lr.base_batch_size``.

    ``enable=False`` switches it off. The real batch counts processes and accumulated steps. Says in one line what it does.

    Returns:
        the factor; None where the config states no reference batch.
    """
    if not auto_scale_lr or 'base_batch_size' not in auto_scale_lr:
        if auto_scale_lr and auto_scale_lr.get('enable'):
            raise BatchSizeError('auto_scale_lr.enable=True needs auto_scale_lr.base_batch_size: the batch size that the '
                                 'learning rate was chosen for')
        return None
    base = auto_scale_lr['base_batch_size']
    if not isinstance(base, int) or base < 1:
        raise BatchSizeError(f'auto_scale_lr.base_batch_size={base!r} is no number of images: write the batch size over all '
                             'processes that the learning rate was chosen for')
    wrappers = list(optim_wrapper.values()) if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]
    batch, words = real_batch(runner, getattr(wrappers[0], '_accumulative_counts', 1))
    factor = batch / base
    rate = max(base_rate(wrapper) for wrapper in wrappers)
    if factor == 1:
        runner.logger.info(f'Learning rate {rate:g}: the batch of {words} is the one it was chosen for')
        return factor
    if auto_scale_lr.get('enable', True) is False:
        runner.logger.warning(f'Learning rate {rate:g} was chosen for a batch of {base}, and the batch is {words}: not scaled, '
                              f'as auto_scale_lr.enable=False says (scaled linearly it would be {rate * factor:g})')
        return 1.
    for wrapper in wrappers:
        for group in wrapper.param_groups:       # the one that keeps the base rate for the log, too
            group['lr'] = group['lr'] * factor
            if 'initial_lr' in group:
                group['initial_lr'] = group['initial_lr'] * factor
    runner.logger.info(f'Learning rate {rate:g} -> {rate * factor:g}, scaled linearly from a batch of {base} to {words}; '
                       '--no-auto-scale-lr leaves it as it is')
    return factor


def base_rate(wrapper: Any, key: str = 'lr') -> float:
    """The learning rate of an optimizer wrapper before the multipliers of its groups of parameters.

    ``key='initial_lr'`` is that of which a schedule takes its share, where there is one.
    """
    base = getattr(wrapper, 'base_param_settings', None)
    return max(group.get(key, group['lr']) for group in ([base] if base else wrapper.optimizer.param_groups))


def real_batch(runner: Any, accumulate: int = 1) -> tuple[int, str]:
    """Images that one step of the optimiser sees, and how that comes about."""
    loader = runner._train_dataloader
    if isinstance(loader, DataLoader):
        size = loader.batch_size or loader.batch_sampler.batch_size
    else:
        size = loader.get('batch_size') or (loader.get('batch_sampler') or {}).get('batch_size', 1)
    factors = [f'{size} a process', f'{runner.world_size} processes'] if runner.world_size > 1 else []
    factors += [f'{size}', f'{accumulate} steps accumulated'] if accumulate > 1 and not factors else \
        [f'{accumulate} steps accumulated'] if accumulate > 1 else []
    total = size * runner.world_size * accumulate
    return total, f'{total}' + (f' ({" x ".join(factors)})' if factors else '')


def install(runner: Any) -> None:
    """Have ``runner.train`` scale this way."""
    runner.scale_lr = lambda optim_wrapper, auto_scale_lr=None: scale_learning_rate(runner, optim_wrapper, auto_scale_lr)
