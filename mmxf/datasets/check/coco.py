"""Annotation files of COCO's kinds as they stand: what readers stop at, and what they pass over in silence."""
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mmxf.datasets.annotation_file import examine, is_box, is_coco, is_panoptic, read_annotation_file
from mmxf.datasets.errors import DatasetError

from .detection import check_box, check_keypoints
from .report import Report

# A COCO file of this size is read within a second or two; larger ones only when there is time.
QUICK_BYTES = 64 << 20
POLYGON = 'a polygon is x and y in turn, of three points or more; draw it, or take the annotation out'


def check_file(report: Report, file: Any, quick: bool = False, masks: bool = False) -> None:
    """Looks at every entry of an annotation file.

    Args:
        report: what is found goes there.
        file: its path; other files than JSONs, and absent ones, are passed over.
        quick: pass over large files.
        masks: whether the pipeline asks for the outlines of objects.
    """
    file = str(file or '')
    if not file.endswith('.json') or not os.path.isfile(file) or quick and os.path.getsize(file) > QUICK_BYTES:
        return
    try:
        content = read_annotation_file(file)
    except DatasetError as error:
        report.add('annotation files that are no valid JSON', file, str(error), cure='get it again, or write it again')
        return
    if not is_coco(content):
        return
    faults, content = examine(content)
    for fault in faults:
        report.add(fault.kind, f'{file}, {fault.place}', fault.seen, cure=fault.cure)
    images = {image['id']: image for image in content.get('images', ())}
    if not content.get('annotations') or not images:
        return
    if is_panoptic(content):
        _check_segments(report, file, content, images)
    else:
        _check_objects(report, file, content, images, masks)
    empty = len(set(images) - {annotation['image_id'] for annotation in content['annotations']})
    if empty:
        report.facts['images without annotations'] = f'{empty} of {len(images)} in {file}'


def wants_masks(dataset: Any) -> bool:
    """Whether a transform of the pipeline loads the outlines of objects (mmdet's ``with_mask``)."""
    return any(getattr(transform, 'with_mask', False)
               for transform in getattr(getattr(dataset, 'pipeline', None), 'transforms', None) or ())


def _check_objects(report: Report, file: str, content: dict, images: dict, masks: bool) -> None:
    known = {category['id']: category for category in content['categories']}
    # Files of boxes alone often have an empty outline everywhere, which is nobody's mistake.
    outlined = masks or any(has_outline(annotation.get('segmentation')) for annotation in content['annotations'])
    for annotation in content['annotations']:
        if 'bbox' not in annotation:
            continue
        image = images[annotation['image_id']]
        place, width, height = f'{file}, annotation {annotation["id"]}', image['width'], image['height']
        x, y, w, h = annotation['bbox']
        check_box(report, f'{place}, {image["file_name"]}', (x, y, x + w, y + h), width, height)
        outline = annotation.get('segmentation')
        if outlined and not outline and (masks or outline is not None):
            report.add('objects without outline', f'{place}, {image["file_name"]}', f'segmentation is {outline!r}', error=masks,
                       cure=POLYGON)
        elif outlined and outline and not has_outline(outline):     # mmdet ignores the object, and goes on
            report.add('objects with an outline of fewer than three points', f'{place}, {image["file_name"]}',
                       f'segmentation is {outline!r}'[:80], error=False, cure=POLYGON)
        joints = known[annotation['category_id']].get('keypoints')
        if annotation.get('keypoints') and joints:
            check_keypoints(report, f'{place}, {image["file_name"]}', annotation['keypoints'], len(joints), width, height)


def has_outline(segmentation: Any) -> bool:
    """Whether a segmentation is run lengths, or polygons of which one has three points."""
    if isinstance(segmentation, Mapping):
        return bool(segmentation.get('counts'))
    return isinstance(segmentation, (list, tuple)) and any(
        isinstance(polygon, (list, tuple)) and len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in segmentation)


def _check_segments(report: Report, file: str, content: dict, images: dict) -> None:
    """Boxes of segments. Warnings: pixels come from the PNGs, and only other libraries' readers go by the boxes."""
    for annotation in content['annotations']:
        image = images[annotation['image_id']]
        for segment in annotation['segments_info']:
            if 'bbox' not in segment:
                continue
            wrong = _wrong_box(segment['bbox'], image['width'], image['height'])
            if wrong:
                place = f'{file}, image {image["id"]!r} ({image["file_name"]}), segment {segment["id"]}'
                seen = f'bbox is {segment["bbox"]!r}'[:120] + f'; the image is {image["width"]} x {image["height"]}'
                report.add(f'segments whose box {wrong}', place, seen, error=False, cure='boxes are x, y, width, height of the '
                           'pixels in the PNG; mmdet leaves out segments by them. Make them from the PNG')


def _wrong_box(box: Any, width: float, height: float) -> str:
    """What is wrong with a segment's box, '' when nothing."""
    if not is_box(box):
        return 'is not four numbers'
    x, y, w, h = box
    if not (w > 0 and h > 0):
        return 'has no area'
    # A pixel of rounding, as where boxes count from 1.
    return 'reaches outside of its image' if min(x, y) < -1 or x + w > width + 1 or y + h > height + 1 else ''
