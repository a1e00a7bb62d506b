"""An image beside its likeliest classes."""
import math

import cv2
import numpy as np

from .text import Writer, text_size

SIDE = 224            # smaller images are enlarged to this, or names would be larger than they
INK, PALE, BAR = (32, 34, 40), (228, 231, 236), (58, 110, 190)


def draw_classes(image: np.ndarray, classes: list[tuple[str, float]]) -> np.ndarray:
    """The image with a panel below it: a bar, name and score for each class.

    Args:
        image: (H, W, 3) uint8 RGB.
        classes: (name, probability), the likeliest first.

    Returns:
        RGB uint8, the image enlarged where it is small, and taller by the panel.
    """
    scale = max(1.0, SIDE / min(image.shape[:2]))
    if scale > 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    height, width = image.shape[:2]
    size = int(np.clip(round(8 + width / 100), 10, 28))
    line = math.ceil(1.9 * size)
    panel = np.full((line * len(classes) + size, width, 3), 255, np.uint8)
    writer = Writer(np.concatenate([image, panel]))
    right = text_size('100.0 %', size)[0] + size
    for i, (name, score) in enumerate(classes):
        y = height + size / 2 + (i + 0.5) * line
        room = width - right - size
        writer.box(size / 2, y + 0.62 * size, width - size, 0.22 * size, PALE, 0.1 * size)
        writer.box(size / 2, y + 0.62 * size, max(1, (width - size) * score), 0.22 * size, BAR, 0.1 * size)
        writer.text(size / 2, y - 0.05 * size, shortened(name, size, room, bold=i == 0), size, INK, bold=i == 0, anchor='lm')
        writer.text(width - size / 2, y - 0.05 * size, f'{100 * score:.1f} %', size, INK, bold=i == 0, anchor='rm')
    return writer.image()


def shortened(name: str, size: int, room: float, bold: bool) -> str:
    """A name cut to `room` pixels."""
    if text_size(name, size, bold)[0] <= room:
        return name
    while name and text_size(name + '…', size, bold)[0] > room:
        name = name[:-1]
    return name + '…'
