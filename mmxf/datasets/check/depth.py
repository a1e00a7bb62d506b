"""Depth maps: scale and range."""
from __future__ import annotations

import numpy as np

from mmxf.datasets.transforms.depth import read_depth

from . import reading
from .report import Report


def accepts(info: dict) -> bool:
    return 'depth_path' in info


def check(info: dict, report: Report) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Looks at one image; returns it and its depth in metres, for the contact sheet."""
    image, path = reading.picture(report, info['img_path']), info['depth_path']
    depth = _read(report, path, info.get('depth_scale'))
    if depth is None:
        return None if image is None else (image, None)
    low, high = info.get('depth_range') or (0.0, float('inf'))
    known = np.isfinite(depth) & (depth > 0)
    if not known.any():
        report.add('depth maps without a value', path, 'all are 0 or not finite', cure='is depth_path right?')
        return None if image is None else (image, None)
    values = depth[known]
    median, top = float(np.median(values)), float(values.max())
    said = f'median {median:.3g} m, up to {top:.3g} m'
    if median > high or median < low:
        guess = 'small' if median > high else 'large'
        report.add('depth whose median lies outside of depth_range', path, f'{said}; the range is {low:g} to {high:g}',
                   cure=f'depth_scale is the number of units a metre (PNG in millimetres: 1000, KITTI: 256); is it too {guess}?')
    elif float(((values > low) & (values <= high)).mean()) < 0.5:
        report.add('depth maps of which most lies outside of depth_range', path, f'{said}; the range is {low:g} to {high:g}',
                   error=False, cure='is depth_range right for this data set?')
    elif median < 0.05:
        report.add('depth of a few centimetres', path, said, cure='depth_scale is the number of units a metre; is it too large?')
    sums = report.sums.setdefault('depth', [])
    sums.append((float(values.min()), median, top, float(known.mean())))
    table = np.array(sums)
    report.facts['depth'] = f'{table[:, 0].min():.2f} to {table[:, 2].max():.2f} m, median {np.median(table[:, 1]):.2f} m'
    report.facts['known'] = f'{100 * table[:, 3].mean():.1f}% of the pixels'
    if image is None or not reading.same_size(report, path, image, depth.shape, 'depth maps'):
        return None if image is None else (image, None)
    return image, np.where(known, depth, 0)


def _read(report: Report, path: str, scale: float | None) -> np.ndarray | None:
    """(H, W) float32 metres."""
    if reading.missing(report, path, 'depth map'):
        return None
    try:
        return read_depth(path, scale)
    except (OSError, ValueError) as error:
        report.add(reading.UNREADABLE, path, str(error), cure='get them again, or say what their numbers mean')
        return None
