"""Label maps of semantic segmentation, as mmsegmentation's data sets have them."""
from __future__ import annotations

import numpy as np

from . import reading
from .reading import IGNORE
from .report import Report


def accepts(info: dict) -> bool:
    return 'seg_map_path' in info and 'segments_info' not in info


def check(info: dict, report: Report) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Looks at one image; returns it and its classes as a panoptic map, for the contact sheet."""
    image = reading.picture(report, info['img_path'])
    path, count = info['seg_map_path'], len(report.classes)
    if path is None:        # a panoptic data set's image of which its file has no annotation
        reading.unlabelled(report, info['img_path'])
        return None if image is None else (image, None)
    stored = reading.label_map(report, path, 'label map')
    if stored is None:
        return None if image is None else (image, None)
    if stored.ndim != 2:
        if (stored[..., :1] == stored[..., :3]).all():
            stored = stored[..., 0]     # grey, stored three times: OpenMMLab reads its palette index the same way
        else:
            stored = _palette_index(path)
    if stored is None:
        report.add('label maps that are colour pictures', path, cure='save the class index of each pixel as an 8-bit grey PNG')
        return None if image is None else (image, None)
    values, pixels = np.unique(stored, return_counts=True)
    raw = set(values.tolist())
    zero_is_void = bool(info.get('reduce_zero_label'))
    if raw == {0, 255} or raw == {255} and count <= 2:
        report.add('masks of 0 and 255', path, 'read as class 0 and as pixels to ignore', cure='save object pixels as 1 (divide '
                   'by 255); 255 is what no loss looks at')
    labels = stored.astype(np.int64)
    for old, new in (info.get('label_map') or {}).items():
        labels[stored == old] = new
    if zero_is_void:
        labels = np.where((labels == 0) | (labels == IGNORE), IGNORE, labels - 1)
    if report.ignore_index is not None:
        labels[labels == report.ignore_index] = IGNORE
    values, pixels = np.unique(labels, return_counts=True)
    outside = [int(v) for v in values if v != IGNORE and not 0 <= v < count]
    if outside and raw != {0, 255}:
        cure = f'classes are 0 to {count - 1} and {IGNORE} is ignored'
        if not zero_is_void and outside == [count]:
            cure += '; if 0 is the background that nobody learns, set reduce_zero_label=True'
        cure += (f'; if {outside[-1]} marks pixels that nobody learns (void), set ignore_index={outside[-1]} in the data set, in '
                 f"the model's heads and in the metric, or save it as {IGNORE}")
        report.add('labels that are no class', path, f'{outside[:8]} of {count} classes', cure=cure)
    if zero_is_void and 0 not in raw and 255 not in raw:
        report.facts['reduce_zero_label'] = 'is set, and some maps hold no 0: the first class is 1 there, as in ADE20K?'
    void = int(pixels[values == IGNORE].sum())
    if void == labels.size:
        report.add('images without objects', info['img_path'], 'all pixels are ignored', error=False,
                   cure='is ignore_index right, and reduce_zero_label?')
    for value, amount in zip(values.tolist(), pixels.tolist()):
        report.count('pixels', value, amount)
        report.count('images', value)
    sums = report.sums.setdefault('void', [0, 0])
    sums[0], sums[1] = sums[0] + void, sums[1] + labels.size
    report.facts['ignored'] = f'{100 * sums[0] / sums[1]:.1f}% of the pixels'
    if image is None or not reading.same_size(report, path, image, labels.shape, 'label maps'):
        return None if image is None else (image, None)
    return image, np.where((labels >= 0) & (labels < count), labels + 1000, count)


def _palette_index(path: str) -> np.ndarray | None:
    """Of a PNG with a palette, which OpenCV turns into colours; None for real colour pictures."""
    from PIL import Image

    with Image.open(path) as file:
        return np.array(file) if file.mode == 'P' else None
