"""Validation that also says how large the loss is, and how well the model does on images that it was trained on."""
from __future__ import annotations

import copy
import random
import re
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object
from mmengine.model import is_model_wrapper
from mmengine.runner import ValLoop
from torch.utils.data import Subset

from mmxf.registry import LOOPS

from ..random_state import mix_seed, preserved_random_state
from .validation_data import train_slice_dataset, train_slice_evaluator, with_targets


@LOOPS.register_module()
class ThoroughValLoop(ValLoop):
    """mmengine's ValLoop with the loss of every batch that is scored, and the metrics on a slice of the training set.

    The loss is the training's, computed on the batch that is loaded for the metrics, in evaluation mode; its random draws are
    the same in every validation, and change neither the metrics' nor training's. The losses are among the metrics as ``val/loss``
    and so on, for training's have the bare names in logs and curves; the metrics of the slice as ``train_slice/...``.

    Args:
        runner, dataloader, evaluator, fp16: mmengine's.
        loss: compute it.
        load: transforms that load the targets, put behind that which loads the image, in place of others in the pipeline.
            None: those loaders of the training's pipeline that the validation's lacks.
        train_samples: so many samples of the training set, evenly spread, go through the validation's pipeline and are scored.
        train_evaluator: what scores them. None: the validation's, with the training set's annotation files in place of its own.
    """

    def __init__(self, runner, dataloader: Any, evaluator: Any, fp16: bool = False, *, loss: bool = True,
                 load: list[dict] | None = None, train_samples: int = 0, train_evaluator: Any = None) -> None:
        if train_samples < 0:
            raise ValueError(f'val_cfg.train_samples must not be negative, got {train_samples}')
        self.compute_loss = loss
        cfg = dataloader
        if loss and isinstance(dataloader, dict):
            dataloader = with_targets(dataloader, runner.cfg.get('train_dataloader'), load)
        super().__init__(runner, dataloader, evaluator, fp16)
        self._sums: dict[str, list[float]] = {}
        if loss:    # the logs average whatever is called a loss over many steps; here it is over many validations
            log = runner.log_processor
            log.mean_pattern = re.compile(f'^(?!val/).*?(?:{log.mean_pattern.pattern})')
        self.slice_loop = None
        if train_samples:
            dataset = train_slice_dataset(runner.cfg, cfg)
            count = min(train_samples, len(dataset))
            part = Subset(dataset, np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist())
            part.metainfo = dataset.metainfo
            evaluator = train_evaluator or train_slice_evaluator(runner.cfg)
            loader = runner.build_dataloader({**cfg, 'dataset': part}, seed=runner.seed)
            self.slice_loop = ValLoop(runner, loader, evaluator, fp16)
            runner.visualizer.dataset_meta = self.dataloader.dataset.metainfo

    def run(self) -> dict:
        """Validate; returns metrics, then losses, then the metrics of the slice."""
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        self.runner.model.eval()
        self._sums = {}
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        metrics.update(self.mean_losses())
        metrics.update(self._score_slice())
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """The batch's loss, and what mmengine's loop does."""
        if self.compute_loss:
            self._add_loss(idx, copy.deepcopy(data_batch))
        super().run_iter(idx, data_batch)

    def _add_loss(self, index: int, batch: Any) -> None:
        model = self.runner.model.module if is_model_wrapper(self.runner.model) else self.runner.model
        size = len(batch['inputs']) if isinstance(batch, dict) and 'inputs' in batch else 1
        with preserved_random_state():
            seed = mix_seed(index, 7)
            random.seed(seed), np.random.seed(seed & 0xFFFFFFFF), torch.manual_seed(seed >> 1)
            try:
                losses = model._run_forward(model.data_preprocessor(batch, False), mode='loss')
            except (AttributeError, KeyError) as error:
                raise MissingTargetsError(
                    "The validation loss needs targets, and the validation set's samples seem to lack them "
                    f'({type(error).__name__}: {error}). Name what loads them in val_cfg.load, for example '
                    '[dict(type="LoadPanopticSegments")], or set val_cfg.loss=False') from error
        # The class's own: the instance's may stop training on losses that are not finite.
        total, terms = type(model).parse_losses(model, losses)
        for name, value in {**terms, 'loss': total}.items():
            entry = self._sums.setdefault(name, [0., 0.])
            entry[0] += float(value) * size
            entry[1] += size

    def mean_losses(self) -> dict[str, float]:
        """``val/...`` -> mean over the samples of all ranks."""
        if not self.compute_loss:
            return {}
        sums: dict[str, list[float]] = {}
        for part in all_gather_object(self._sums):
            for name, (value, size) in part.items():
                entry = sums.setdefault(name, [0., 0.])
                entry[0], entry[1] = entry[0] + value, entry[1] + size
        return {f'val/{name}': value / size for name, (value, size) in sums.items()}

    def _score_slice(self) -> dict[str, float]:
        if self.slice_loop is None:
            return {}
        loop = self.slice_loop
        with torch.no_grad():
            for batch in loop.dataloader:
                loop.evaluator.process(data_samples=self.runner.model.val_step(batch), data_batch=batch)
        metrics = loop.evaluator.evaluate(len(loop.dataloader.dataset))
        return {f'train_slice/{name}': value for name, value in metrics.items()}


class MissingTargetsError(ValueError):
    """The validation set's samples hold no targets, which a loss needs."""
