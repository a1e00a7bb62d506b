"""Goes through a sample of a data set."""
from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from . import classes as class_checks
from . import classification, coco, depth, detection, panoptic, pose, reading, semantic
from .report import Report

KINDS = (panoptic, detection, semantic, depth, classification, pose)


def innermost(dataset: Any) -> list[Any]:
    """The data sets inside wrappers and concatenations."""
    if hasattr(dataset, 'datasets'):
        return [part for inner in dataset.datasets for part in innermost(inner)]
    inner = vars(dataset).get('dataset')
    return innermost(inner) if inner is not None and hasattr(inner, '__getitem__') else [dataset]


def source_of(dataset: Any) -> Any:
    """The data set that an annotation file belongs to: of crops of objects, the one of the objects."""
    return vars(dataset).get('inner', dataset)


def spread(total: int, count: int | None) -> list[int]:
    """Indices of `count` samples, evenly over the data set; None or 0: all."""
    if not count or count >= total:
        return list(range(total))
    return sorted({int(i) for i in np.linspace(0, total - 1, count)})


def check_dataset(dataset: Any, name: str, *, sample: int | None = None, seconds: float | None = None, quick: bool = False,
                  model: Mapping | None = None, pictures: int = 0) -> tuple[Report, list[tuple[str, Any]]]:
    """Looks at a data set, or at the innermost one of a wrapper (of several, at each in turn, in one report).

    Args:
        dataset: built.
        name: what messages call it, for instance 'train_dataloader.dataset'.
        sample: how many samples are opened; None: all.
        seconds: after which no more are opened; None: no limit.
        quick: leave out what takes seconds on large sets whatever the sample (parsing a large annotation file again).
        model: config of the model, whose heads are compared.
        pictures: how many annotated samples are returned for a contact sheet.

    Returns:
        the report, and (kind of annotation, what its `check` returned, title) of the pictures.
    """
    start = time.monotonic()
    parts = innermost(dataset)
    meta = getattr(parts[0], 'metainfo', None) or {}
    report = Report(name, tuple(meta.get('classes') or ()))
    if meta.get('joints') is not None:
        from mmxf.structures.skeleton import Skeleton

        report.skeleton = Skeleton.from_metainfo(meta)
    report.joints = meta.get('joints') or meta.get('keypoint_id2name') or ()
    if model is not None and report.classes:
        class_checks.check_heads(report, model, len(report.classes))
    shown: list[tuple[str, Any, str]] = []
    for part in parts:
        report.total += len(part)
        report.ignore_index = getattr(part, 'ignore_index', reading.IGNORE)
        if model is not None:
            class_checks.check_ignored(report, model, report.ignore_index)
        class_checks.check_names(report, source_of(part))
        if len(part) == 0:
            report.add('data sets without a sample', getattr(part, 'ann_file', '') or name, cure='check the annotation file, and '
                       'filter_cfg and metainfo classes, which may leave nothing')
            continue
        _look(part, report, shown, sample, None if seconds is None else start + seconds, pictures)
        coco.check_file(report, getattr(source_of(part), 'ann_file', ''), quick, coco.wants_masks(part))
    never = [c for label, c in enumerate(report.classes) if report.numbers and not any(
        values.get(label) for values in report.numbers.values())]
    if never:
        what = 'the data set' if report.looked_at >= report.total else 'the sample'
        report.facts[f'classes that {what} does not show'] = f'{len(never)} of {len(report.classes)}: {", ".join(never[:12])}' + (
            ' ...' if len(never) > 12 else '')
    report.seconds = time.monotonic() - start
    return report, shown


def _files(info: Mapping, index: int) -> str:
    """What a sample is made of."""
    files = [str(info[key]) for key in ('img_path', 'seg_map_path', 'depth_path') if info.get(key)]
    return ' and '.join(files) or f'sample {index}'


def _look(part: Any, report: Report, shown: list, sample: int | None, deadline: float | None, pictures: int) -> None:
    indices = spread(len(part), sample)
    wanted = set(indices[::max(1, len(indices) // pictures)][:pictures]) if pictures else set()
    # In an order that is spread over the whole set, wherever the time runs out.
    stride = max(1, round(len(indices) ** 0.5))
    for position in [i for first in range(stride) for i in range(first, len(indices), stride)]:
        if deadline is not None and time.monotonic() > deadline:
            report.facts['time'] = 'ran out before the whole sample was looked at'
            break
        index = indices[position]
        info = part.get_data_info(index)
        kind = next((kind for kind in KINDS if kind.accepts(info)), None)
        if kind is None:
            report.facts['annotations'] = f'of a kind that is not looked into ({", ".join(sorted(info))})'
            if info.get('img_path'):
                reading.picture(report, info['img_path'])
            report.looked_at += 1
            continue
        report.looked_at += 1
        try:
            found = kind.check(info, report)
        except (OSError, cv2.error) as error:
            report.add(reading.UNREADABLE, _files(info, index), f'{type(error).__name__}: {error}',
                       cure='get them again, or take them out of the annotation file')
            continue
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            # A data set of another's making; the rest of it is looked at all the same.
            report.add('samples of a form that the check does not know', _files(info, index), f'{type(error).__name__}: {error}',
                       error=False, cure='compare what get_data_info gives for them with that of other samples')
            continue
        if found is not None and index in wanted and len(shown) < pictures:
            title = str(info.get('img_path') or info.get('file_name') or index).rpartition('/')[2]
            title += ' mirrored' if info.get('mirrored') else ''
            shown.append((kind.__name__.rpartition('.')[2], found, title))
    shown.sort(key=lambda entry: entry[2])
