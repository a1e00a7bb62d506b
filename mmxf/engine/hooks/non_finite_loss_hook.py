"""A loss or matching cost that is not finite: the step is left out, the batch kept, and a run that does not recover ends."""
from __future__ import annotations

import functools
import json
import math
import os.path as osp
from contextlib import ExitStack
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapperDict

from mmxf.matchers.finite_assignment import finite_assignments, take_non_finite_cost
from mmxf.registry import HOOKS

from ..atomic_files import write_atomically
from ..batch_dump import dump_batch
from ..roll_back import roll_back

_COST = 'matching cost'


class NonFiniteLossError(RuntimeError):
    """A loss term was NaN or infinite. The optimiser has not stepped on it."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """When a loss term or matching cost of any rank is NaN or infinite, all ranks leave the step out together.

    It looks between ``parse_losses`` and the backward pass, so weights, optimiser and the last checkpoint stay good. Images and
    terms are named in the log and in ``work_dir/non_finite_loss.json``; the batch itself, with its targets, goes to
    ``work_dir/non_finite/``. Costs one element-wise check and, with several processes, the all-reduce of one number an iteration.

    Args:
        patience: so many steps in a row are left out; one more, and ``then`` happens. 0: at once.
        then: 'stop' ends the run. 'rollback' takes weights, optimiser, averages and loss scale back to the last checkpoint;
            iterations, schedule and data go on, so that the same images do not come next.
        max_rollbacks: after these the run stops.
        max_dumps: batches that are kept, on each rank.
    """

    priority = 'VERY_HIGH'

    def __init__(self, patience: int = 0, then: str = 'stop', max_rollbacks: int = 3, max_dumps: int = 10) -> None:
        if then not in ('stop', 'rollback'):
            raise ValueError(f"NonFiniteLossHook: then is 'stop' or 'rollback', got {then!r}")
        if min(patience, max_rollbacks, max_dumps) < 0:
            raise ValueError('NonFiniteLossHook: patience, max_rollbacks and max_dumps must not be negative')
        self.patience, self.then, self.max_rollbacks, self.max_dumps = patience, then, max_rollbacks, max_dumps
        self._batch: Any = None
        self._runner: Any = None
        self._in_a_row = self._rollbacks = self._dumps = 0
        self._leave_out = self._roll_back = False
        self._patches = ExitStack()
        self._statistics: list[torch.Tensor] = []    # of batch norms, and what they were before the step
        self._kept_statistics: list[torch.Tensor] = []

    # ---- where it looks

    def before_train(self, runner) -> None:
        self._runner = runner
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if not hasattr(model, 'parse_losses'):
            runner.logger.warning(f'{type(model).__name__} has no parse_losses: its losses are not checked')
            return
        if getattr(model.parse_losses, 'checks_finite', None) is self:
            return
        self._patches.enter_context(finite_assignments())
        take_non_finite_cost()    # of what was before
        self._statistics = [buffer for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._NormBase)
                            for buffer in (module.running_mean, module.running_var, module.num_batches_tracked)
                            if buffer is not None]
        self._kept_statistics = [buffer.clone() for buffer in self._statistics]
        parse = model.parse_losses

        @functools.wraps(parse)
        def parse_and_check(losses: dict):
            total, terms = parse(losses)
            if self._check(total, terms):
                return total, terms
            return total, {name: term for name, term in terms.items() if bool(torch.isfinite(torch.as_tensor(term)).all())}

        parse_and_check.checks_finite = self
        # On the instance: the model keeps its class, and train_step of mmengine and of its DDP wrapper both call it.
        model.__dict__['parse_losses'] = parse_and_check
        for wrapper in _wrappers(runner.optim_wrapper):
            wrapper.__dict__['update_params'] = functools.partial(self._update, wrapper, wrapper.update_params)

    def before_train_iter(self, runner, batch_idx: int, data_batch: Any = None) -> None:
        self._batch = data_batch
        if self._statistics:
            torch._foreach_copy_(self._kept_statistics, self._statistics)

    def after_train_iter(self, runner, batch_idx: int, data_batch: Any = None, outputs: dict | None = None) -> None:
        self._batch, self._leave_out = None, False
        if self._roll_back:
            self._roll_back, self._in_a_row = False, 0
            self._rollbacks += 1
            roll_back(runner)

    def after_train(self, runner) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.__dict__.pop('parse_losses', None)
        for wrapper in _wrappers(runner.optim_wrapper):
            wrapper.__dict__.pop('update_params', None)
        self._patches.close()

    # ---- what it does

    def _check(self, total: Any, terms: dict) -> bool:
        """Whether all is finite, on all ranks; otherwise the step will be left out, or the run ends here."""
        values = [term.detach().float().reshape(()) for name, term in terms.items()
                  if 'loss' in name and isinstance(term, torch.Tensor)]
        if isinstance(total, torch.Tensor):
            values.append(total.detach().float().reshape(()))
        if not values:
            return True
        cost = take_non_finite_cost()
        place = values[-1].device              # the total's; some term may be a number that the model left on the CPU
        bad = torch.logical_not(torch.isfinite(torch.stack([value.to(place) for value in values])).all()).float()
        bad = torch.ones_like(bad) if cost else bad
        own = bool(bad.item()) if get_world_size() > 1 else None
        if get_world_size() > 1:
            all_reduce(bad, 'max')
        if not bad.item():
            self._in_a_row = 0
            return True
        losses = {name: float(term) for name, term in terms.items() if isinstance(term, torch.Tensor)}
        if cost:
            losses[_COST] = math.nan
        images = image_names(self._batch)
        dump = self._dump(losses, images) if own is not False else None
        reports = all_gather_object(dict(rank=get_rank(), images=images, losses=losses, dump=dump))
        self._in_a_row += 1
        self._leave_out = True
        if self._in_a_row > self.patience:
            if self.then == 'stop' or self._rollbacks >= self.max_rollbacks:
                self._patches.close()
                raise NonFiniteLossError(self._describe(reports, self._ending()))
            self._roll_back = True
        count = f' ({self._in_a_row} in a row, at most {self.patience}).'
        self._describe(reports, 'all processes leave this step out' + (
            ', and go back to the last checkpoint.' if self._roll_back else count))
        return False

    def _ending(self) -> str:
        return 'the run stops before the optimiser steps' + (
            f', {self._in_a_row} in a row being more than patience={self.patience}' if self.patience else '') + (
            f', after {self._rollbacks} rollbacks' if self._rollbacks else '') + '.'

    def _update(self, wrapper: Any, update_params: Any, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """The wrapper's update_params, but for a step that is left out."""
        if not self._leave_out:
            update_params(loss, *args, **kwargs)
            return
        parameters = [parameter for group in wrapper.optimizer.param_groups for parameter in group['params']]
        if is_model_wrapper(self._runner.model):
            # The processes' reducer waits for a backward pass; what it gives is thrown away.
            kept = [parameter.grad for parameter in parameters]
            for parameter in parameters:
                parameter.grad = None
            wrapper.backward(loss)
            for parameter, gradient in zip(parameters, kept):
                parameter.grad = gradient
        else:
            wrapper._inner_count += 1
        if self._statistics:    # a batch of NaN makes them NaN for ever
            torch._foreach_copy_(self._statistics, self._kept_statistics)
        if wrapper.should_update():
            # The other steps of a window of accumulation are good.
            if wrapper._accumulative_counts > 1 and any(parameter.grad is not None for parameter in parameters):
                wrapper.step()
            wrapper.zero_grad()

    def _dump(self, losses: dict[str, float], images: list[str]) -> str | None:
        if self._dumps >= self.max_dumps:
            return None
        self._dumps += 1
        try:
            folder = osp.join(self._runner.work_dir, 'non_finite')
            return dump_batch(folder, self._runner.iter + 1, get_rank(), self._batch, losses, images)
        except OSError as error:
            self._runner.logger.warning(f'The batch could not be kept: {error}')
            return None

    def _describe(self, reports: list[dict], decision: str) -> str:
        runner = self._runner
        bad = [report for report in reports if not all(math.isfinite(v) for n, v in report['losses'].items()
                                                       if 'loss' in n or n == _COST)]
        what = 'Matching cost' if all(_COST in report['losses'] for report in bad) else 'Loss'
        lines = [f'{what} is not finite at iteration {runner.iter + 1}; {decision}']
        for report in bad:
            lines.append(f'rank {report["rank"]}, images: ' + ', '.join(report['images'] or ['names unknown']))
            lines.append('  ' + ', '.join(f'{n}={v:.6g}' for n, v in report['losses'].items()))
            if report['dump']:
                lines.append(f'  the batch: {report["dump"]}')
        last = runner.message_hub.runtime_info.get('last_ckpt')
        lines.append(f'The last checkpoint is kept: {last}' if last else 'No checkpoint had been saved yet.')
        lines.append('Look at these images and their annotations (mmxf browse-dataset); with mixed precision try '
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


def _wrappers(optim_wrapper: Any) -> list:
    return list(optim_wrapper.values()) if isinstance(optim_wrapper, OptimWrapperDict) else [optim_wrapper]


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
