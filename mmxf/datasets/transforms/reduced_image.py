"""Images that are decoded no larger than they are needed."""
from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine import fileio

from mmxf.registry import TRANSFORMS

_FLAGS = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))


@TRANSFORMS.register_module()
class LoadReducedImage(BaseTransform):
    """Reads an image at 1, 1/2, 1/4 or 1/8, whichever is the smallest that is at least ``min_size``.

    JPEG's transform of 8 x 8 pixels gives a reduced image for less work than the whole one. For pipelines that resize the image
    right after it and have no annotations in pixels of it (classification, inference). The image is (H, W, 3) BGR uint8.

    Reads ``img_path``; writes ``img``, ``img_shape`` and ``ori_shape``, both of the reduced image.

    Args:
        min_size: (height, width); the whole image where it is smaller.
        backend_args: of mmengine.fileio.

    Raises:
        ValueError: for a file that is no image.
    """

    def __init__(self, min_size: tuple[int, int], backend_args: dict | None = None) -> None:
        if len(min_size) != 2 or min(min_size) < 1:
            raise ValueError(f'LoadReducedImage: min_size is (height, width) in pixels, got {min_size!r}')
        self.min_size, self.backend_args = tuple(min_size), backend_args

    def transform(self, results: dict) -> dict:
        """Loads."""
        data = np.frombuffer(fileio.get(results['img_path'], backend_args=self.backend_args), np.uint8)
        image = None
        size = jpeg_size(data)
        for factor, flag in _FLAGS if size else ():
            # The decoder rounds up.
            if -(-size[0] // factor) >= self.min_size[0] and -(-size[1] // factor) >= self.min_size[1]:
                image = cv2.imdecode(data, flag | cv2.IMREAD_IGNORE_ORIENTATION)
                break
        if image is None and len(data):
            image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if image is None:
            raise ValueError(f'failed to decode the image {results["img_path"]} ({len(data)} bytes)')
        results.update(img=image, img_shape=image.shape[:2], ori_shape=image.shape[:2])
        return results


def jpeg_size(data: np.ndarray) -> tuple[int, int] | None:
    """(height, width) from a JPEG's frame header (ITU T.81, B.2.2); None for other files."""
    content, at = data.data, 2
    if bytes(content[:2]) != b'\xff\xd8':
        return None
    while at + 9 < len(content):
        if content[at] != 0xFF:
            return None
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(content[at + 5:at + 7], 'big'), int.from_bytes(content[at + 7:at + 9], 'big')
        at += 2 + int.from_bytes(content[at + 2:at + 4], 'big')
    return None
