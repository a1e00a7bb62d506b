"""Back to the last checkpoint in the middle of a run."""
from __future__ import annotations

from typing import Any

from mmengine.dist import barrier
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapperDict


class NothingToRollBackToError(RuntimeError):
    """The run has no checkpoint yet."""


def roll_back(runner: Any) -> str:
    """Take weights, optimiser, loss scale and averaged weights back to the run's last checkpoint; all ranks call this together.

    Iterations, learning rate, schedule, random state and the position in the data go on: the steps since are lost, and the images
    that follow are others (as in PaLM, arXiv:2204.02311, section 5.1).

    Returns:
        the checkpoint.

    Raises:
        NothingToRollBackToError: there is none of this run.
    """
    saved = [hook.last_ckpt for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    path = next(filter(None, saved), None) or (runner._load_from if runner._resume else None)
    if not path:
        raise NothingToRollBackToError(
            f'The run should go back to its last checkpoint at iteration {runner.iter + 1}, but has none yet: shorten '
            'default_hooks.checkpoint.interval, or let NonFiniteLossHook stop (then="stop")')
    barrier()
    resume, runner._resume = runner._resume, True    # so that averaged weights come back as they were, not as the weights
    several = isinstance(runner.optim_wrapper, OptimWrapperDict)
    wrappers = list(runner.optim_wrapper.values()) if several else [runner.optim_wrapper]
    rates = [[(group['lr'], group.get('momentum'), group.get('betas')) for group in wrapper.optimizer.param_groups]
             for wrapper in wrappers]
    try:
        checkpoint = runner.load_checkpoint(path, map_location='cpu', strict=True)
    finally:
        runner._resume = resume
    runner.optim_wrapper.load_state_dict(checkpoint['optimizer'])
    for wrapper, groups in zip(wrappers, rates):
        for group, (rate, momentum, betas) in zip(wrapper.optimizer.param_groups, groups):
            group['lr'] = rate
            if momentum is not None:
                group['momentum'] = momentum
            if betas is not None:
                group['betas'] = betas
        wrapper.zero_grad()
    runner.logger.warning(f'Rolled back to {path}: weights and optimiser are its own, iterations, schedule and data go on')
    return path
