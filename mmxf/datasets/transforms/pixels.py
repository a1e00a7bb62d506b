"""Resampling of images and label maps with the pixel rules of the official pipelines (Pillow's), computed
fast.

Pixel centres are at half-integers: output pixel x looks at input coordinate ``(x + 0.5) * scale``. OpenCV's
``INTER_NEAREST`` does not follow this rule and would shift labels against their image by half an input pixel.
"""

import cv2
import numpy as np
from PIL import Image


def resize_image(img: np.ndarray, size: tuple[int, int], *, exact: bool = False) -> np.ndarray:
    """Bilinear resizing, with low-pass filtering when shrinking (as Pillow and hence detectron2 do; OpenCV
    does not).

    Args:
        img: (H, W, 3) or (H, W) uint8.
        size: New (height, width).
        exact: Pillow always. Otherwise enlarging is left to OpenCV: up to one grey level off, 3-6 times
            faster.
    """
    if img.shape[:2] == tuple(size):
        return img
    if not exact and size[0] >= img.shape[0] and size[1] >= img.shape[1]:
        return cv2.resize(contiguous(img), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(Image.fromarray(contiguous(img)).resize((size[1], size[0]), Image.BILINEAR))


def nearest_labels(
    labels: np.ndarray, size: tuple[int, int], window: tuple[int, int, int, int]
) -> np.ndarray:
    """A window of the label map resized by nearest neighbour; only the window is computed.

    Args:
        labels: (H, W), any type.
        size: (height, width) of the whole map after resizing.
        window: top, left, height, width in the resized map.
    """
    (h, w), (top, left, height, width) = labels.shape, window
    rows = ((np.arange(top, top + height) + 0.5) * (h / size[0])).astype(np.intp)
    cols = ((np.arange(left, left + width) + 0.5) * (w / size[1])).astype(np.intp)
    if size[0] >= h:  # columns first where there are fewer rows to go through: 3x faster than both at once
        return labels.take(cols, axis=1).take(rows, axis=0)
    return labels.take(rows, axis=0).take(cols, axis=1)


def contiguous(array: np.ndarray) -> np.ndarray:
    """The array in C order. Mirrored views (mmcv's RandomFlip) go through OpenCV: 24 ms -> 0.4 ms at
    1281x1281x3."""
    if array.ndim >= 2 and array.strides[1] < 0 and array[:, ::-1].flags.c_contiguous:
        return cv2.flip(array[:, ::-1], 1)
    return np.ascontiguousarray(array)


def lookup(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """``table[ids]`` with everything beyond the table read from its last entry; ids are not negative."""
    return table.take(ids, mode='clip')
