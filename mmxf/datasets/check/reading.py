"""Files of a sample, opened once, with what is wrong with them."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .report import Report

UNREADABLE = 'images that cannot be read'
MISSING = 'files that are not there'


def missing(report: Report, path: str | None, what: str = 'image') -> bool:
    """Notes a file that is not there."""
    if path and Path(path).is_file():
        return False
    report.add(MISSING, path or f'a sample without {what}', what, cure='check data_root and data_prefix in the config, and that '
               'the download is whole; data/README.md shows the trees')
    return True


def picture(report: Report, path: str | None) -> np.ndarray | None:
    """(H, W, 3) uint8 RGB of an image, None where it cannot be had; says why."""
    from mmxf.apis.inference import ImageError, read_image

    if missing(report, path):
        return None
    try:
        return cv2.cvtColor(read_image(path), cv2.COLOR_BGR2RGB)
    except ImageError as error:
        report.add(UNREADABLE, path, str(error), cure='get them again, or take them out of the annotation file')
        return None


def label_map(report: Report, path: str | None, what: str) -> np.ndarray | None:
    """A label map as it is stored, None where it cannot be read."""
    if missing(report, path, what):
        return None
    found = cv2.imdecode(np.frombuffer(Path(path).read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None:
        report.add(UNREADABLE, path, f'{what}: it cannot be decoded', cure='get them again, or take them out of the annotation '
                   'file')
    return found


def same_size(report: Report, path: str, image: np.ndarray, other: tuple[int, int], what: str) -> bool:
    """Whether an annotation has its image's size."""
    if image.shape[:2] == tuple(other):
        return True
    report.add(f'{what} of another size than the image', path, f'{other[1]} x {other[0]}, the image {image.shape[1]} x '
               f'{image.shape[0]}', cure='was one of them resized, or turned by its EXIF flag? Make them fit')
    return False
