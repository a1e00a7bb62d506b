"""Boxes and keypoints of instances, as mmdet's data sets have them."""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import reading
from .report import Report

# How far a joint may lie beyond its image, in widths and heights of it: one that is seen, and a hidden one, which some data
# sets place where they guess it.
BEYOND = {2: 0.1, 1: 1.0}


def accepts(info: dict) -> bool:
    return 'instances' in info


def check(info: dict, report: Report) -> tuple[np.ndarray, list] | None:
    """Looks at one image; returns it and its (box, label) pairs, for the contact sheet."""
    path = info['img_path']
    image = reading.picture(report, path)
    instances = [i for i in info['instances'] if not i.get('ignore_flag')]
    if not instances:
        report.add('images without objects', path, error=False, cure='filter_cfg=dict(filter_empty_gt=True) leaves them out of '
                   'training; all of them: do metainfo classes name the categories of the file?')
    size = (info.get('height'), info.get('width'))
    if image is not None and None not in size:
        reading.same_size(report, path, image, size, 'sizes in the annotation file')
    height, width = image.shape[:2] if image is not None else size
    seen = set()
    for instance in instances:
        label = int(instance['bbox_label'])
        seen.add(label)
        report.count('objects', label)
        if not 0 <= label < len(report.classes):
            report.add('labels that are no class', path, f'{label} of {len(report.classes)} classes',
                       cure='category ids must be those of the categories list')
        check_box(report, path, instance['bbox'], width, height)
        keypoints = instance.get('keypoints')
        if keypoints is not None:
            check_keypoints(report, path, keypoints, len(report.joints), width, height)
    for label in seen:
        report.count('images', label)
    return None if image is None else (image, [(i['bbox'], int(i['bbox_label'])) for i in instances])


def check_box(report: Report, path: str, box: Any, width: float | None, height: float | None) -> None:
    """A box (x1, y1, x2, y2) in pixels."""
    if len(box) != 4:
        report.add('boxes that are not four numbers', path, f'{list(box)}'[:120], cure='boxes are x1, y1, x2, y2 in pixels')
        return
    x1, y1, x2, y2 = (float(v) for v in box)
    said = f'x {x1:g} to {x2:g}, y {y1:g} to {y2:g}'
    if not all(map(math.isfinite, (x1, y1, x2, y2))):
        report.add('boxes that are not finite', path, said, cure='mend the annotation')
    elif x2 <= x1 or y2 <= y1:
        report.add('boxes without area', path, said, cure='COCO boxes are x, y, width, height; are these corners, or in 0-1?')
    elif width and height and (x1 > width or y1 > height or x2 < 0 or y2 < 0):
        report.add('boxes outside of their image', path, f'{said}; the image is {width} x {height}',
                   cure='COCO boxes are x, y, width, height in pixels of the stored image')
    elif width and height and (x2 > width + 2 or y2 > height + 2 or x1 < -2 or y1 < -2):
        report.add('boxes that reach beyond their image', path, f'{said}; the image is {width} x {height}', error=False,
                   cure='cut them off at the border; many of them: COCO boxes are x, y, width, height, not corners')
    elif max(x2, y2) <= 1.5 and (width or 0) > 16:
        report.add('boxes within the first pixel', path, said, cure='boxes are in pixels, not in shares of the image')


def check_keypoints(report: Report, path: str, keypoints: Any, joints: int, width: float | None = None,
                    height: float | None = None) -> None:
    """COCO's flat x, y, visibility of each joint, in pixels of an image of that size."""
    try:
        values = np.asarray(keypoints, float).reshape(-1)
    except (TypeError, ValueError):
        report.add('keypoints that are not numbers', path, f'{keypoints!r}'[:80], cure='every annotation has x, y, visibility of '
                   'every joint of its category')
        return
    if len(values) % 3 or joints and len(values) != 3 * joints:
        report.add('keypoints of another number than the skeleton has', path, f'{len(values) / 3:g} of {joints or "?"}',
                   cure='every annotation has x, y, visibility of every joint of its category, unlabelled ones 0, 0, 0')
        return
    x, y, visibility = values.reshape(-1, 3).T
    if not ((visibility == 0) | (visibility == 1) | (visibility == 2)).all():      # np.isin takes ten times as long
        report.add('visibilities of keypoints that are not 0, 1 or 2', path, f'{sorted(set(visibility.tolist()))[:5]}',
                   cure='0 is not labelled, 1 hidden, 2 visible')
    if not width or not height or not len(values) or values.min() >= 0 and x.max() <= width and y.max() <= height:
        return
    reach = np.maximum(np.maximum(-x, x - width) / width, np.maximum(-y, y - height) / height)
    for level, most in BEYOND.items():
        far = np.flatnonzero((visibility == level) & ~(reach <= most))      # so that NaN counts
        if len(far):
            joint = int(far[0])
            report.add('keypoints far outside of their image', path, f'joint {joint} ({"visible" if level == 2 else "hidden"}) '
                       f'at x {x[joint]:g}, y {y[joint]:g}' + (f', and {len(far) - 1} more' if len(far) > 1 else '')
                       + f'; the image is {width} x {height}', cure='keypoints are x, y in pixels of the stored image; joints '
                       'that nobody labelled are 0, 0, 0')
