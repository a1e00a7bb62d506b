"""Files of a sample, opened once, with what is wrong with them."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from mmxf.datasets.tolerant import ends_early

from .report import Report

UNREADABLE = 'images that cannot be read'
MISSING = 'files that are not there'
UNLABELLED = 'images without annotation'
IGNORE = 255        # the label of no class


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
    data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    found = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None     # OpenCV has no answer to nothing
    cut = ends_early(path)      # some versions of OpenCV show the rest black
    if found is None or cut:
        why = 'it is empty (0 bytes)' if not data.size else 'it is cut off: its end is missing' if cut else 'it cannot be decoded'
        report.add(UNREADABLE, path, f'{what}: {why}', cure='get them again, or take them out of the annotation '
                   'file')
        return None
    return found


def unlabelled(report: Report, path: str) -> None:
    """Notes an image that nothing is known of."""
    report.add(UNLABELLED, path, 'the annotation file lists the image, but no annotation of it', cure='add its annotation, or '
               'take the image out of the list; in training filter_cfg=dict(filter_empty_gt=True) leaves such images out')


def same_size(report: Report, path: str, image: np.ndarray, other: tuple[int, int], what: str) -> bool:
    """Whether an annotation has its image's size."""
    if image.shape[:2] == tuple(other):
        return True
    report.add(f'{what} of another size than the image', path, f'{other[1]} x {other[0]}, the image {image.shape[1]} x '
               f'{image.shape[0]}', cure='was one of them resized, or turned by its EXIF flag? Make them fit')
    return False
