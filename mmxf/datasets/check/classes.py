"""Class names and counts: of the metainfo, the annotation file, the config's heads, a checkpoint."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmxf.config.errors import nearest
from mmxf.engine.hooks.class_count_hook import annotation_categories

from .reading import IGNORE
from .report import Report

META = 'set metainfo=dict(classes=(...)) of the data set to exactly the names in the annotation file'


def check_names(report: Report, dataset: Any) -> None:
    """Names of the metainfo against the categories of a COCO-style annotation file."""
    classes = list((getattr(dataset, 'metainfo', None) or {}).get('classes') or ())
    file = getattr(dataset, 'ann_file', '') or ''
    categories = annotation_categories(file) if file else None
    if not classes or categories is None:
        return
    stripped = {name.strip() for name in categories}
    for name in classes:
        if name.strip() not in stripped:
            near = nearest(name, categories)
            report.add('classes that the annotation file does not have: their objects are left out without a word', file,
                       repr(name) + (f', the file has {near[0]!r}' if near else f', the file has {", ".join(categories[:8])}'),
                       cure=META)
    unused = [name for name in categories if name.strip() not in {c.strip() for c in classes}]
    if unused:
        report.add('categories of the annotation file that are no classes: their objects are not learned', file,
                   ', '.join(map(repr, unused[:8])) + (' ...' if len(unused) > 8 else ''), error=False,
                   cure='add them to metainfo classes, if they are wanted')
    doubled = sorted({name for name in categories if categories.count(name) > 1})
    if doubled:
        report.add('names of categories that occur twice', file, ', '.join(doubled), cure='give every category a name of its own')


def head_counts(model: Any, prefix: str = 'model') -> Iterator[tuple[str, int]]:
    """Every ``num_classes`` of a model's config, with its key."""
    if isinstance(model, Mapping):
        things, stuff = model.get('num_things_classes'), model.get('num_stuff_classes')
        if isinstance(things, int) and isinstance(stuff, int):
            yield f'{prefix}.num_things_classes + num_stuff_classes', things + stuff
        for key, value in model.items():
            if key == 'num_classes' and isinstance(value, int):
                yield f'{prefix}.{key}', value
            elif key not in ('data_preprocessor', 'init_cfg', 'train_cfg', 'test_cfg'):
                yield from head_counts(value, f'{prefix}.{key}')
    elif isinstance(model, (list, tuple)):
        for number, value in enumerate(model):
            yield from head_counts(value, f'{prefix}.{number}')


def check_heads(report: Report, model: Mapping, count: int) -> None:
    """Class counts of the config's heads against the data set's. The RPN's one class is no head's."""
    for key, number in head_counts(model):
        if number != count and 'rpn' not in key and not (number == 1 and 'mask_head' in key):
            report.add('heads with another number of classes than the data set', key, f'{number}, the data set has {count}',
                       cure="write num_classes='${num_classes}' there, which follows from the data set's metainfo")


def check_ignored(report: Report, model: Mapping, ignore_index: int) -> None:
    """Label that the data set ignores against those that the model's heads do: a loss takes any other for a class."""

    def told(value: Any) -> Iterator[Any]:
        if isinstance(value, Mapping):
            yield value.get('ignore_index')
            value = list(value.values())
        for inner in value if isinstance(value, (list, tuple)) else ():
            yield from told(inner)

    if ignore_index != IGNORE and ignore_index not in list(told(model)):
        report.add('heads that learn the label which the data set ignores', 'model', f'ignore_index={ignore_index} of the data '
                   'set is that of no head', cure=f"write ignore_index={ignore_index} in the heads too, and in the metric")


def check_checkpoint(report: Report, path: str, classes: Sequence[str], count: int | None) -> None:
    """Classes of a checkpoint: the names that it stores, else the count that its model reads off."""
    if count is not None and count != len(classes):
        report.add('a checkpoint with another number of classes than the data set', path, f'{count}, the data set has '
                   f'{len(classes)}', error=False, cure='for fine-tuning this is meant: layers that depend on the classes start '
                   'anew. For testing, take a checkpoint of this data set')


def check_stored_names(report: Report, path: str, stored: Sequence[str], classes: Sequence[str]) -> None:
    """Names in another order give a model that takes cats for dogs, with no error anywhere."""
    if len(stored) == len(classes) and list(stored) != list(classes):
        first = next(i for i, (a, b) in enumerate(zip(stored, classes)) if a != b)
        report.add('a checkpoint whose classes have other names, or another order', path,
                   f'class {first} is {stored[first]!r} there and {classes[first]!r} here', error=set(stored) == set(classes),
                   cure="give metainfo classes the checkpoint's order")
