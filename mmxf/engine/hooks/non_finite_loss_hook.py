"""A loss that is not finite stops the run before the optimiser steps on it."""
from __future__ import annotations

import functools
import json
import math
import os.path as osp
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmxf.registry import HOOKS

from ..atomic_files import write_atomically


class NonFiniteLossError(RuntimeError):
    """A loss term was NaN or infinite. The optimiser has not stepped on it."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Stops all ranks at once when any loss term of any rank is NaN or infinite, naming images and terms.

    It looks between ``parse_losses`` and the backward pass, so weights, optimiser and the last checkpoint stay good.
    The batch is written to ``work_dir/non_finite_loss.json``. Costs one element-wise check and, with several
    processes, the all-reduce of one number per iteration.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._batch: Any = None
        self._runner: Any = None

    def before_train(self, runner) -> None:
        self._runner = runner
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not hasattr(model, 'parse_losses'):
            runner.logger.warning(f'{type(model).__name__} has no parse_losses: its losses are not checked')
            return
        if getattr(model.parse_losses, 'checks_finite', None) is self:
            return
        parse = model.parse_losses

        @functools.wraps(parse)
        def parse_and_check(losses: dict):
            total, terms = parse(losses)
            self._check(total, terms)
            return total, terms

        parse_and_check.checks_finite = self
        # On the instance: the model keeps its class, and train_step of mmengine and of its DDP wrapper both call it.
        model.__dict__['parse_losses'] = parse_and_check

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        self._batch = data_batch

    def after_train_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None) -> None:
        self._batch = None

    def after_train(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.__dict__.pop('parse_losses', None)

    def _check(self, total: Any, terms: dict) -> None:
        values = [term.detach().float().reshape(()) for name, term in terms.items()
                  if 'loss' in name and isinstance(term, torch.Tensor)]
        if isinstance(total, torch.Tensor):
            values.append(total.detach().float().reshape(()))
        if not values:
            return
        bad = torch.logical_not(torch.isfinite(torch.stack(values)).all()).float()
        if get_world_size() > 1:
            all_reduce(bad, 'max')
        if not bad.item():
            return
        reports = all_gather_object(dict(rank=get_rank(), images=image_names(self._batch),
                                         losses={name: float(term) for name, term in terms.items()
                                                 if isinstance(term, torch.Tensor)}))
        raise NonFiniteLossError(self._describe(reports))

    def _describe(self, reports: list[dict]) -> str:
        runner = self._runner
        bad = [report for report in reports if not all(math.isfinite(v) for n, v in report['losses'].items()
                                                       if 'loss' in n)]
        lines = [f'Loss is not finite at iteration {runner.iter + 1}; the run stops before the optimiser steps.']
        for report in bad:
            lines.append(f'rank {report["rank"]}, images: ' + ', '.join(report['images'] or ['names unknown']))
            lines.append('  ' + ', '.join(f'{n}={v:.6g}' for n, v in report['losses'].items()))
        last = runner.message_hub.runtime_info.get('last_ckpt')
        lines.append(f'The last checkpoint is kept: {last}' if last else 'No checkpoint had been saved yet.')
        lines.append('Look at these images and their annotations (tools/browse_dataset.py); with mixed precision try '
                     'bfloat16, or a lower learning rate; then go on with --resume.')
        message = '\n'.join(lines)
        if is_main_process():
            # JSON has no NaN: non-finite numbers are written as text.
            named = [dict(report, losses={n: v if math.isfinite(v) else str(v) for n, v in report['losses'].items()})
                     for report in bad]
            write_atomically(osp.join(runner.work_dir, 'non_finite_loss.json'), json.dumps(
                dict(iteration=runner.iter + 1, last_checkpoint=last, ranks=named), indent=2).encode())
            runner.logger.error(message)
        return message


def image_names(batch: Any) -> list[str]:
    """Paths (or ids) of the images of a batch, as far as its data samples know them."""
    samples = batch.get('data_samples', []) if isinstance(batch, dict) else []
    if not samples and isinstance(batch, (list, tuple)):
        samples = [item.get('data_samples') if isinstance(item, dict) else item for item in batch]
    names = []
    for sample in samples if isinstance(samples, (list, tuple)) else [samples]:
        meta = getattr(sample, 'metainfo', None)
        meta = meta if isinstance(meta, dict) else sample if isinstance(sample, dict) else {}
        name = meta.get('img_path') or meta.get('file_name')
        if name is None and meta.get('img_id') is not None:
            name = f'image id {meta["img_id"]}'
        if name is not None:
            names.append(str(name))
    return names
