"""A few lines before the first iteration: what is about to be trained, on what, for how long."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmxf.engine.scale_lr import base_rate


class BannerHook(Hook):
    """Logs data set sizes, classes, parameters, iterations, effective batch size and learning rate."""

    priority = 'LOWEST'

    def before_train(self, runner: Any) -> None:
        runner.logger.info('\n' + banner(runner))


def banner(runner: Any) -> str:
    """The text, from a Runner whose loops and optimiser are built."""
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    parameters = list(model.parameters())
    count = sum(p.numel() for p in parameters)
    frozen = sum(p.numel() for p in parameters if not p.requires_grad)
    loader = runner.train_dataloader
    data = f'{_length(loader.dataset):,} training images'
    if runner.val_loop is not None:
        data += f', {_length(runner.val_dataloader.dataset):,} validation images'
    classes = (getattr(loader.dataset, 'metainfo', None) or {}).get('classes')
    data += f', {len(classes)} classes' if classes is not None else ''
    batch = loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None) or 1
    accumulate = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    factors = [f'{batch} a process', f'{runner.world_size} process{"es" if runner.world_size > 1 else ""}']
    factors += [f'{accumulate} steps accumulated'] if accumulate > 1 else []
    whole = batch * runner.world_size * accumulate
    images = max(_length(loader.dataset), 1)
    rows = {
        'data': data,
        'model': f'{type(model).__name__}, {count / 1e6:.2f} M parameters'
        + (f' ({frozen / 1e6:.2f} M frozen)' if frozen else ''),
        'length': f'{runner.max_iters:,} iterations of {batch * runner.world_size} images '
        f'= {runner.max_iters * batch * runner.world_size / images:.1f} epochs'
        + (f', from iteration {runner.iter}' if runner.iter else ''),
        'batch': f'{whole} images a step ({" x ".join(factors)})',
        'lr': _learning_rate(runner),
        'folder': runner.work_dir,
    }
    return '\n'.join(f'  {name:<7} {value}' for name, value in rows.items())


def _length(dataset: Any) -> int:
    return len(dataset) if hasattr(dataset, '__len__') else 0


def _learning_rate(runner: Any) -> str:
    try:
        rates = [
            group.get('initial_lr', group['lr']) for group in runner.optim_wrapper.optimizer.param_groups
        ]
        kind = type(runner.optim_wrapper.optimizer).__name__
    except AttributeError:  # several optimizers
        return ', '.join(f'{name} {values[0]:g}' for name, values in runner.optim_wrapper.get_lr().items())
    base = base_rate(runner.optim_wrapper, 'initial_lr')
    others = [f'{rate:g}' for rate in sorted({min(rates), max(rates)} - {base})]
    return f'{base:g}' + (f' ({" to ".join(others)} for some parameters)' if others else '') + f', {kind}'
