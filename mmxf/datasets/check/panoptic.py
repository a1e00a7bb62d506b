"""Panoptic PNGs against the segments that the JSON lists."""
from __future__ import annotations

import numpy as np

from . import reading
from .report import Report

RELIST = 'the PNGs and the JSON are not of the same version: make or download both together'


def accepts(info: dict) -> bool:
    return 'segments_info' in info and 'seg_map_path' in info


def check(info: dict, report: Report) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Looks at one image; returns it and its panoptic map in mmdet's encoding, for the contact sheet."""
    image = reading.picture(report, info['img_path'])
    path = info['seg_map_path']
    if path is None:
        return None if image is None else (image, None)
    stored = reading.label_map(report, path, 'panoptic PNG')
    if stored is None:
        return None if image is None else (image, None)
    segments = info['segments_info']
    if not segments:
        report.add('images without objects', info['img_path'], error=False, cure='filter_cfg=dict(filter_empty_gt=True) leaves '
                   'them out of training')
    if stored.dtype != np.uint8 or stored.ndim != 3:
        report.add('panoptic PNGs that are no RGB pictures of 8 bits', path, f'{stored.dtype} of shape {stored.shape}',
                   cure='COCO\'s format writes id = R + 256 G + 65536 B; save ids so, not as a grey or palette picture')
        return None if image is None else (image, None)
    b, g, r = (stored[..., i].astype(np.int64) for i in range(3))
    ids = r + 256 * g + 65536 * b
    found, areas = np.unique(ids, return_counts=True)
    area_of = dict(zip(found.tolist(), areas.tolist()))
    listed = [s['id'] for s in segments]
    doubled = {i for i in listed if listed.count(i) > 1}
    if doubled:
        report.add('segments listed twice', path, f'id {sorted(doubled)[0]}', cure=RELIST)
    unknown = [i for i in area_of if i and i not in set(listed)]
    if unknown:
        swapped = {int(i) // 65536 + (int(i) // 256 % 256) * 256 + (int(i) % 256) * 65536 for i in unknown} & set(listed)
        report.add('ids in PNGs that the JSON does not list: their pixels become void', path, f'{len(unknown)} ids, '
                   f'{unknown[0]} with {area_of[unknown[0]]} pixels among them' + (
                       '; with red and blue swapped they would fit' if swapped else ''),
                   cure='write the PNGs as RGB, not BGR' if swapped else RELIST)
    gone = [i for i in listed if i not in area_of]
    if gone:
        report.add('segments without a pixel in the PNG', path, f'{len(gone)} of {len(listed)}, id {gone[0]} among them',
                   cure=RELIST, error=len(gone) == len(listed))
    for segment in segments:
        report.count('segments', segment['label'])
        report.count('pixels', segment['label'], area_of.get(segment['id'], 0))
    for label in {segment['label'] for segment in segments}:
        report.count('images', label)
    report.facts['void'] = _share(report, area_of.get(0, 0), ids.size)
    if image is None or not reading.same_size(report, path, image, ids.shape, 'panoptic PNGs'):
        return None if image is None else (image, None)
    panoptic = np.full(ids.shape, len(report.classes), np.int64)
    for number, segment in enumerate(segments, 1):
        panoptic[ids == segment['id']] = segment['label'] + 1000 * number
    return image, panoptic


def _share(report: Report, void: int, size: int) -> str:
    """Of pixels of no segment, over all images so far."""
    sums = report.sums.setdefault('void', [0, 0])
    sums[0] += void
    sums[1] += size
    return f'{100 * sums[0] / sums[1]:.1f}% of the pixels'
