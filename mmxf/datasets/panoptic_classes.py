"""Classes of a panoptic data set: the checks of ``metainfo``, and category ids of an annotation file -> class
index."""

import colorsys
import json
from collections.abc import Mapping, Sequence

from .errors import DatasetError


def check_metainfo(metainfo: Mapping, owner: str) -> dict:
    """Complete and check the classes of a data set.

    Args:
        metainfo: ``classes``, ``thing_classes`` and optionally ``stuff_classes`` and ``palette``.
        owner: Name for messages.

    Returns:
        The same with tuples of names, ``stuff_classes`` and a ``palette`` of one RGB triple a class.

    Raises:
        DatasetError: no classes, names twice, things or stuff that are no classes, a class that is both or
            neither, or too few colours.
    """
    metainfo = dict(metainfo)
    if not metainfo.get('classes'):
        raise DatasetError(
            f"{owner}: metainfo has no 'classes'. Give metainfo=dict(classes=(...), "
            'thing_classes=(...)) in the dataset config. To print that of an annotation file: '
            'python -c "from mmxf.datasets import read_metainfo; print(read_metainfo(\'ANN.json\'))"'
        )
    classes = tuple(metainfo['classes'])
    if len(set(classes)) < len(classes):
        raise DatasetError(
            f'{owner}: names in metainfo classes occur twice: '
            f'{sorted({c for c in classes if classes.count(c) > 1})}'
        )
    if metainfo.get('thing_classes') is None:
        if metainfo.get('stuff_classes') is None:
            raise DatasetError(
                f"{owner}: metainfo has neither 'thing_classes' nor 'stuff_classes'; a class is a thing "
                'when its name is in thing_classes'
            )
        metainfo['thing_classes'] = [c for c in classes if c not in set(metainfo['stuff_classes'])]
    things = tuple(metainfo['thing_classes'])
    if metainfo.get('stuff_classes') is None:
        metainfo['stuff_classes'] = [c for c in classes if c not in set(things)]
    stuff = tuple(metainfo['stuff_classes'])
    if sorted(things + stuff) != sorted(classes):
        raise DatasetError(
            f'{owner}: thing_classes and stuff_classes of metainfo must share out classes. In neither: '
            f'{sorted(set(classes) - set(things + stuff))}; in both: {sorted(set(things) & set(stuff))}; '
            f'no class: {sorted(set(things + stuff) - set(classes))}'
        )
    palette = metainfo.get('palette') or spread_colours(len(classes))
    if len(palette) != len(classes):
        raise DatasetError(f'{owner}: {len(palette)} colours in metainfo palette for {len(classes)} classes')
    metainfo.update(
        classes=classes, thing_classes=things, stuff_classes=stuff, palette=[tuple(c) for c in palette]
    )
    return metainfo


def spread_colours(count: int) -> list[tuple[int, int, int]]:
    """RGB colours that differ between neighbours: golden-angle steps in hue, three brightnesses."""
    return [
        tuple(
            round(255 * v) for v in colorsys.hsv_to_rgb((0.618034 * i) % 1, 0.65, (0.95, 0.75, 0.55)[i % 3])
        )
        for i in range(count)
    ]


def map_categories(categories: Sequence[Mapping], metainfo: Mapping, ann_file: str) -> dict[int, int]:
    """Category id of an annotation file -> index into ``metainfo['classes']``, by name.

    Files whose categories have no names are matched by rank: the n-th smallest id is class n.

    Raises:
        DatasetError: a class is missing in either place, or is a thing in one and stuff in the other.
    """
    classes, things = list(metainfo['classes']), set(metainfo['thing_classes'])
    if all('name' in c for c in categories):
        names = [c['name'] for c in categories]
        label = {c['id']: classes.index(c['name']) for c in categories if c['name'] in classes}
        if sorted(names) != sorted(classes):
            raise DatasetError(
                f'classes of {ann_file} and of metainfo differ. '
                f'Only in metainfo: {sorted(set(classes) - set(names))}; '
                f'only in the file: {sorted(set(names) - set(classes))}; '
                f'twice in the file: {sorted({n for n in names if names.count(n) > 1})}.\n'
                f'The file has {len(names)} categories: {names}\n'
                f'metainfo has {len(classes)} classes: {classes}\n'
                'Set metainfo=dict(classes=..., thing_classes=...) of the dataset in the config accordingly'
            )
    else:
        ids = sorted(c['id'] for c in categories)
        label = {i: n for n, i in enumerate(ids)}
        if len(ids) != len(classes):
            raise DatasetError(
                f'{ann_file} has {len(ids)} categories without names, ids {ids}; metainfo has '
                f'{len(classes)} classes: {classes}'
            )
    wrong = [
        classes[label[c['id']]]
        for c in categories
        if 'isthing' in c and bool(c['isthing']) != (classes[label[c['id']]] in things)
    ]
    if wrong:
        raise DatasetError(
            f'{ann_file} and metainfo disagree on which classes are things: {wrong} '
            f'({"thing" if wrong[0] in things else "stuff"} in metainfo)'
        )
    return label


def read_metainfo(ann_file: str) -> dict:
    """``metainfo`` made of the categories of a COCO panoptic JSON, in their order, things first."""
    with open(ann_file, encoding='utf-8') as f:
        categories = sorted(json.load(f)['categories'], key=lambda c: not c['isthing'])
    metainfo = dict(
        classes=tuple(c['name'] for c in categories),
        thing_classes=tuple(c['name'] for c in categories if c['isthing']),
    )
    if all('color' in c for c in categories):
        metainfo['palette'] = [tuple(c['color']) for c in categories]
    return check_metainfo(metainfo, owner=str(ann_file))
