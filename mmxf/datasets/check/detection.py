"""Boxes, masks and keypoints of instances, as mmdet's data sets have them, and of the COCO file they come from."""
from __future__ import annotations

import json
import math
import os
from typing import Any

import numpy as np

from . import reading
from .report import Report

# A COCO file of this size is read within a second or two; larger ones only when there is time.
QUICK_BYTES = 64 << 20


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
            check_keypoints(report, path, keypoints, len(report.joints))
    for label in seen:
        report.count('images', label)
    return None if image is None else (image, [(i['bbox'], int(i['bbox_label'])) for i in instances])


def check_box(report: Report, path: str, box: Any, width: float | None, height: float | None) -> None:
    """A box (x1, y1, x2, y2) in pixels."""
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


def check_keypoints(report: Report, path: str, keypoints: Any, joints: int) -> None:
    """COCO's flat x, y, visibility of each joint."""
    values = np.asarray(keypoints, float).reshape(-1)
    if len(values) % 3 or joints and len(values) != 3 * joints:
        report.add('keypoints of another number than the skeleton has', path, f'{len(values) / 3:g} of {joints or "?"}',
                   cure='every annotation has x, y, visibility of every joint of its category, unlabelled ones 0, 0, 0')
        return
    visibility = values[2::3]
    if not np.isin(visibility, (0, 1, 2)).all():
        report.add('visibilities of keypoints that are not 0, 1 or 2', path, f'{sorted(set(visibility.tolist()))[:5]}',
                   cure='0 is not labelled, 1 hidden, 2 visible')


def check_file(report: Report, dataset: Any, indices: set, quick: bool) -> None:
    """What data sets pass over in silence: annotations of a COCO file, as they stand."""
    file = getattr(dataset, 'ann_file', '') or ''
    if not str(file).endswith('.json') or not os.path.isfile(file) or quick and os.path.getsize(file) > QUICK_BYTES:
        return
    with open(file, encoding='utf-8') as stream:
        content = json.load(stream)
    if not isinstance(content, dict) or 'annotations' not in content or 'images' not in content:
        return
    images = {image['id']: image for image in content['images']}
    known = {category['id']: category for category in content.get('categories', ())}
    for annotation in content['annotations']:
        number = annotation.get('id')
        place = f'{file}, annotation {number}'
        image = images.get(annotation.get('image_id'))
        if image is None:
            report.add('annotations of images that the file does not list', place, f'image_id {annotation.get("image_id")!r}',
                       cure='add the image, or take the annotation out')
            continue
        if 'bbox' not in annotation:
            continue
        if annotation.get('category_id') not in known:
            report.add('annotations of categories that the file does not list', place,
                       f'category_id {annotation.get("category_id")!r}', cure='category ids must be those of the categories list')
            continue
        x, y, w, h = annotation['bbox']
        check_box(report, f'{place}, {image.get("file_name")}', (x, y, x + w, y + h), image.get('width'), image.get('height'))
        joints = known[annotation['category_id']].get('keypoints')
        if annotation.get('keypoints') and joints:
            check_keypoints(report, place, annotation['keypoints'], len(joints))
    empty = len(images) - len({a.get('image_id') for a in content['annotations']} & set(images))
    if empty:
        report.facts['images without annotations'] = f'{empty} of {len(images)} in {file}'
