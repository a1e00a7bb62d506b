"""Images with one label."""
from __future__ import annotations

import numpy as np

from . import reading
from .report import Report


def accepts(info: dict) -> bool:
    return 'gt_label' in info


def check(info: dict, report: Report) -> tuple[np.ndarray, str] | None:
    """Looks at one image; returns it and its class, for the contact sheet."""
    image = reading.picture(report, info['img_path'])
    label = int(info['gt_label'])
    report.count('images', label)
    if not 0 <= label < len(report.classes):
        report.add('labels that are no class', info['img_path'], f'{label} of {len(report.classes)} classes',
                   cure='labels count from 0; metainfo classes must name as many as there are')
    if image is None:
        return None
    if info.get('crop_box') is not None:
        x1, y1, x2, y2 = (int(round(v)) for v in info['crop_box'])
        image = image[max(0, y1):max(0, y2), max(0, x1):max(0, x2)]
        if not image.size:
            report.add('boxes without area', info['img_path'], f'crop {info["crop_box"]}', cure='mend the annotation')
            return None
    return image, report.classes[label] if 0 <= label < len(report.classes) else f'label {label}'
