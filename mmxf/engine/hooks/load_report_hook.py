"""What became of every key of a checkpoint that was loaded to start from."""
from __future__ import annotations

import os.path as osp

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from torch import nn

from mmxf.registry import HOOKS

from ..atomic_files import write_atomically
from ..load_report import compare_keys


class NothingLoadedError(ValueError):
    """No key of a checkpoint fits the model."""


class OtherModelError(ValueError):
    """A checkpoint to resume from does not fit the model."""


@HOOKS.register_module()
class LoadReportHook(Hook):
    """Logs what a load of weights did, and writes every key into ``load_report.txt`` of the run's folder when not all fitted.

    A checkpoint of which nothing fits stops the run, and so does one to resume from of which anything does not.
    """

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        model = _inner(runner.model)
        state = checkpoint.get('state_dict', checkpoint)
        state = {key.removeprefix('module.'): value for key, value in state.items()}
        report = compare_keys(model.state_dict(), state, class_counts(model, state, checkpoint))
        if runner._resume:
            if report.differs:
                name = runner._load_from or f'the last checkpoint in {runner.work_dir}'
                raise OtherModelError(f'{name} cannot be continued, it is of another model than this {type(model).__name__}:\n'
                                      f'{report.summary()}\nTo start from its weights: load_from, without --resume')
            return
        name = runner._load_from
        if not report.loaded and not report.classes:
            raise NothingLoadedError(f'nothing of {name} fits {type(model).__name__}:\n{report.summary()}\nOfficial checkpoints '
                                     'first pass mmxf convert-checkpoint; weights of a backbone belong into '
                                     "model.backbone.init_cfg=dict(type='Pretrained', checkpoint=...)")
        if not report.differs:
            runner.logger.info(f'{name}: all {len(report.loaded)} keys loaded')
            return
        path = osp.join(runner.work_dir, 'load_report.txt')
        if is_main_process():
            write_atomically(path, report.text().encode())
        say = runner.logger.warning if report.suspicious else runner.logger.info
        say(f'{name}: {report.summary()}\n  every key: {path}')


def _inner(model: nn.Module) -> nn.Module:
    """The model that a checkpoint is of: inside of DDP, and of test-time augmentation, which has no weights of its own."""
    model = model.module if is_model_wrapper(model) else model
    inside = getattr(model, 'module', None)
    if isinstance(inside, nn.Module) and all(key.startswith('module.') for key in model.state_dict()):
        return inside
    return model


def class_counts(model, state: dict, checkpoint: dict) -> tuple[int, int] | None:
    """(classes of the checkpoint, of the model), None where one of them does not tell."""
    tell = getattr(model, 'checkpoint_num_classes', None)
    before = tell(state) if tell is not None else None
    if before is None and isinstance(checkpoint.get('meta'), dict):
        before = len((checkpoint['meta'].get('dataset_meta') or {}).get('classes') or ()) or None
    now = getattr(model, 'num_classes', None)
    if not isinstance(now, int):
        now = next((m.num_classes for m in model.modules() if isinstance(getattr(m, 'num_classes', None), int)
                    and m.num_classes > 1), None)
    return (before, now) if before is not None and now is not None else None
