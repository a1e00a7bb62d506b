"""Class counts of model, data, annotation files and checkpoint, names of class folders: compared before the first iteration."""
from __future__ import annotations

import json
import mmap
import os
import re
from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper

from mmxf.registry import HOOKS


class ClassCountError(ValueError):
    """Numbers of classes that must be one number are not, or class folders that must have the same names do not."""


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Stops a run whose parts disagree about the classes, and lists what each of them says.

    Compared are the model (attribute ``num_classes``), the metainfo of every data set of this run, the categories of
    their annotation files, and the checkpoint (``model.checkpoint_num_classes(state_dict)``, an int or None). A part
    that cannot tell is left out. Weights to start from (``load_from`` in training) may have other classes, which is
    how one fine-tunes: that is a warning. Data sets whose classes are the names of folders (attribute ``class_folder``) must
    have the same names: labels count the folders in alphabetical order, so that one renamed folder would shift them.
    """

    priority = 'HIGH'

    def __init__(self) -> None:
        self._checkpoint: tuple[str, int] | None = None
        self._fine_tuning = False

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        model = _plain(runner.model)
        count = getattr(model, 'checkpoint_num_classes', lambda state: None)(checkpoint.get('state_dict', checkpoint))
        if count is None:
            return
        self._checkpoint = (f'checkpoint {runner._load_from or ""}'.strip(), count)
        self._fine_tuning = runner._train_loop is not None and not runner._resume
        if not self._fine_tuning:
            self._compare(runner)  # before the weights are loaded: shapes that do not fit would hide the reason

    def before_train(self, runner) -> None:
        self._compare(runner)

    def before_val(self, runner) -> None:
        self._compare(runner)

    def before_test(self, runner) -> None:
        self._compare(runner)

    def _compare(self, runner) -> None:
        counts = class_counts(_plain(runner.model), _datasets(runner))
        _compare_folders(_datasets(runner))
        told = dict(counts)
        if self._checkpoint is not None:
            told[self._checkpoint[0]] = self._checkpoint[1]
        if len(set(told.values())) <= 1:
            return
        listing = '\n'.join(f'  {number:5d}  {who}' for who, number in told.items())
        message = (f'Numbers of classes disagree:\n{listing}\nClasses come from the data set\'s metainfo: set '
                   "train_dataloader.dataset.metainfo (and write num_classes='${num_classes}' in the model) so that "
                   'it names exactly the categories of the annotation file, and use a checkpoint of that model')
        if len(set(counts.values())) <= 1 and self._fine_tuning:
            runner.logger.warning(message + '. Fine-tuning: layers that depend on the classes start anew')
            return
        raise ClassCountError(message)


def _compare_folders(datasets: dict[str, Any]) -> None:
    """Raises ClassCountError where two data sets take as many classes from folders, but not the same."""
    first = None
    for name, dataset in datasets.items():
        for part in _innermost(dataset):
            classes, folder = (getattr(part, 'metainfo', None) or {}).get('classes'), getattr(part, 'class_folder', None)
            if classes is None or folder is None:
                continue
            first = first or (name, classes, folder)
            if len(classes) != len(first[1]) or list(classes) == list(first[1]):
                continue             # numbers are compared by themselves
            at = next(k for k, (one, other) in enumerate(zip(first[1], classes)) if one != other)
            raise ClassCountError(
                f'Class folders have different names: class {at} is {first[1][at]!r} in {first[2]} ({first[0]}) and '
                f'{classes[at]!r} in {folder} ({name}). Labels count the folders in alphabetical order, and would mean other '
                'classes there. Rename the folders, or set metainfo=dict(classes=...) of both data sets to the same names')


def class_counts(model: Any, datasets: dict[str, Any]) -> dict[str, int]:
    """Who says how many classes.

    Args:
        model: with ``num_classes`` (absent or None: left out).
        datasets: name in the config -> data set; wrappers and concatenations are looked through.
    """
    counts: dict[str, int] = {}
    if isinstance(getattr(model, 'num_classes', None), int):
        counts[f'model {type(model).__name__}.num_classes'] = model.num_classes
    for name, dataset in datasets.items():
        for part in _innermost(dataset):
            metainfo = getattr(part, 'metainfo', None) or {}
            classes = metainfo.get('classes')
            if classes is None:
                continue
            counts[f'{name}: metainfo of {type(part).__name__}'] = len(classes)
            file = getattr(part, 'ann_file', None)
            categories = annotation_categories(file) if file else None
            if categories is None:
                continue
            # A detection data set may use some of a file's categories; a panoptic one would leave holes.
            chosen = set(classes) < set(categories) and 'thing_classes' not in metainfo
            if not chosen:
                counts[f'{name}: categories in {file}'] = len(categories)
    return counts


def annotation_categories(path: str) -> list[str] | None:
    """Names of the categories of a COCO-style JSON, found without parsing the whole file; None where there are none."""
    if not str(path).endswith('.json') or not os.path.isfile(path) or os.path.getsize(path) == 0:
        return None
    decoder = json.JSONDecoder()
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for match in re.finditer(rb'"categories"\s*:\s*(?=\[)', content):
            text = content[match.end():match.end() + (4 << 20)].decode('utf-8', errors='ignore')
            try:
                entries, _ = decoder.raw_decode(text)
            except json.JSONDecodeError:
                continue
            if all(isinstance(entry, dict) and 'name' in entry for entry in entries):
                return [entry['name'] for entry in entries]
    return None


def _innermost(dataset: Any) -> list[Any]:
    if hasattr(dataset, 'datasets'):
        return [part for inner in dataset.datasets for part in _innermost(inner)]
    if 'dataset' in vars(dataset) and not callable(vars(dataset)['dataset']):
        return _innermost(dataset.dataset)
    return [vars(dataset)['_dataset']] if '_dataset' in vars(dataset) else [dataset]


def _datasets(runner) -> dict[str, Any]:
    """Data sets of the loops that are built already (asking the runner would build the others)."""
    loops = dict(train_dataloader=runner._train_loop, val_dataloader=runner._val_loop,
                 test_dataloader=runner._test_loop)
    return {name: loop.dataloader.dataset for name, loop in loops.items() if hasattr(loop, 'dataloader')}


def _plain(model: Any) -> Any:
    return model.module if is_model_wrapper(model) else model
