"""Configs of validation data that carry targets, and of training data that are looked at as validation looks at its own."""
from __future__ import annotations

import copy
import os.path as osp
from typing import Any

from mmengine.registry import DATASETS

# Evaluations with these read their own ground truth; targets in the samples may be resized with the image. mmseg's metrics
# compare with the targets in the samples, which stay as large as the original.
_MOVED = ('mmdet.',)


def with_targets(dataloader: dict, train_dataloader: Any, load: list[dict] | None = None) -> dict:
    """A validation loader's config whose pipeline loads what a loss needs.

    Args:
        dataloader: of the validation.
        train_dataloader: the training's; its pipeline's ``Load...`` transforms are taken where ``load`` is None.
        load: transforms to put behind the first one, in place of all other loaders of targets.
    """
    dataloader = copy.deepcopy(dict(dataloader))
    holder = pipeline_holder(dataloader.get('dataset'))
    if holder is None or not holder.get('pipeline'):
        return dataloader
    pipeline = list(holder['pipeline'])
    start = max((i for i, transform in enumerate(pipeline[:3]) if 'Image' in _kind(transform) and _is_loader(transform)),
                default=-1) + 1
    if load is None:
        training = pipeline_holder((train_dataloader or {}).get('dataset')) or {}
        own = {_kind(transform) for transform in pipeline}
        added = [transform for transform in training.get('pipeline', ())
                 if _is_loader(transform) and 'Image' not in _kind(transform) and _kind(transform) not in own]
        moved = [transform for transform in pipeline[start:] if _is_loader(transform) and _kind(transform).startswith(_MOVED)]
        load = [*added, *moved]
    else:
        moved = [transform for transform in pipeline[start:] if _is_loader(transform)]
    rest = [transform for transform in pipeline[start:] if not any(transform is other for other in moved)]
    if load:
        # Metrics compare at the original size; a loss compares with what the network sees.
        rest = [dict(transform, resize_labels=True) if _kind(transform).endswith('ResizeToFit') else transform
                for transform in rest]
    holder['pipeline'] = [*pipeline[:start], *copy.deepcopy(load), *rest]
    return dataloader


def train_slice_dataset(cfg: Any, val_dataloader: dict) -> Any:
    """The training set, built with the validation's pipeline, in test mode."""
    training, validation = (pipeline_holder(loader['dataset']) for loader in (cfg['train_dataloader'], val_dataloader))
    if training is None:
        raise ValueError('val_cfg.train_samples: train_dataloader.dataset is no config whose pipeline could be replaced')
    dataset = dict(copy.deepcopy(training), test_mode=True)
    for key, value in (validation or {}).items():
        if key == 'pipeline':
            dataset[key] = copy.deepcopy(value)
    dataset.pop('filter_cfg', None)
    if 'test_mode' not in training and 'test_mode' not in (validation or {}):
        dataset.pop('test_mode')
    return DATASETS.build(dataset)


def train_slice_evaluator(cfg: Any) -> Any:
    """The validation's evaluator with the training set's files where it names the validation set's.

    Raises:
        ValueError: for a file of the evaluator that is none of the validation set's.
    """
    ours, theirs = (_files(innermost(cfg[f'{split}_dataloader']['dataset']) or {}) for split in ('train', 'val'))
    files = {path: ours[name] for name, path in theirs.items() if name in ours}

    def swap(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: swap(item, f'{key}.{name}') for name, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [swap(item, f'{key}.{i}') for i, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        path = osp.normpath(value)
        if path in files:
            return files[path]
        if key.endswith(('.ann_file', '.seg_prefix')):
            raise ValueError(f'{key}={value!r} is no file of val_dataloader.dataset, so its like of the training set is not '
                             'known: write val_cfg.train_evaluator')
        return value

    return swap(copy.deepcopy(cfg['val_evaluator']), 'val_evaluator')


def pipeline_holder(dataset: Any) -> dict | None:
    """The config of the data set whose pipeline makes the samples; None for one that is built.

    Wrappers that mix samples have a pipeline of their own over that of the data set below. One that cuts samples out of another's
    images has the only one.
    """
    chain = _chain(dataset)
    return next((part for part in reversed(chain) if part.get('pipeline')), chain[-1]) if chain else None


def innermost(dataset: Any) -> dict | None:
    """The config of the data set below wrappers and, of several, the first; None for one that is built."""
    chain = _chain(dataset)
    return chain[-1] if chain else None


def _chain(dataset: Any) -> list[dict]:
    """The configs of a data set and of those in it, the first of several; empty when the last is none."""
    chain = []
    while isinstance(dataset, dict):
        chain.append(dataset)
        dataset = dataset.get('dataset') or (dataset.get('datasets') or [None])[0]
    return chain if dataset is None else []


def _files(dataset: dict) -> dict[str, str]:
    root, found = dataset.get('data_root') or '', {}
    prefixes = dataset.get('data_prefix') or {}
    names = {'ann_file': dataset.get('ann_file'), **{f'prefix.{key}': value for key, value in prefixes.items()}}
    for name, value in names.items():
        if isinstance(value, str) and value:
            found[name] = osp.normpath(value if osp.isabs(value) else osp.join(root, value))
    return found


def _kind(transform: Any) -> str:
    kind = transform.get('type', '') if isinstance(transform, dict) else type(transform)
    return kind if isinstance(kind, str) else kind.__name__


def _is_loader(transform: Any) -> bool:
    return _kind(transform).rpartition('.')[2].startswith('Load')
