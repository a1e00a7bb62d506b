"""Where the segments' names go: deep inside each segment, clear of one another."""

from collections.abc import Sequence

import cv2
import numpy as np

from .text import Writer, text_size


def inner_points(mask: np.ndarray, tries: int, clear: tuple[float, float]):
    """Yield up to ``tries`` (x, y, depth) points of a boolean mask, deepest first.

    ``depth`` is the distance to the mask's border in pixels. Around each point a box of half size ``clear``
    is struck out, so that the next one lies elsewhere.
    """
    # A frame of zeros makes the image's own border a border too.
    depth = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    # Names are wider than high: among equally deep points the horizontally central one looks right.
    rows = np.arange(mask.shape[0])[:, None] - mask.shape[0] / 2
    columns = np.arange(mask.shape[1]) - mask.shape[1] / 2
    ranked = depth - 1e-3 * np.hypot(rows, columns).astype(np.float32)
    for _ in range(tries):
        y, x = np.unravel_index(int(ranked.argmax()), ranked.shape)
        if depth[y, x] <= 0 or ranked[y, x] == -np.inf:
            return
        yield x, y, float(depth[y, x])
        dx, dy = (int(c) for c in clear)
        ranked[max(0, y - dy) : y + dy + 1, max(0, x - dx) : x + dx + 1] = -np.inf


def place_labels(
    index: np.ndarray, names: Sequence[str], size: int
) -> list[tuple[int, float, float, float, float]]:
    """Boxes (segment, x, y, width, height) of the names that find room, by falling size of their segments."""
    height, width = index.shape
    areas = np.bincount(index[index >= 0].ravel(), minlength=len(names))
    placed: list[tuple[int, float, float, float, float]] = []
    for segment in np.argsort(-areas, kind='stable'):
        text_w, text_h = text_size(names[segment], size)
        w, h = text_w + 0.75 * size, text_h + 0.2 * size
        # A name on a segment far smaller than itself says nothing about where it belongs.
        if areas[segment] < 0.3 * w * h:
            continue
        ys, xs = np.nonzero(index == segment)
        top, left = ys.min(), xs.min()
        mask = index[top : ys.max() + 1, left : xs.max() + 1] == segment
        for x, y, depth in inner_points(mask, 8, (w / 2, h / 2)):
            if depth < 0.22 * h:
                break
            x0 = min(max(left + x - w / 2, 2), max(2, width - w - 2))
            y0 = min(max(top + y - h / 2, 2), max(2, height - h - 2))
            if all(
                x0 + w < px or px + pw < x0 or y0 + h < py or py + ph < y0 for _, px, py, pw, ph in placed
            ):
                placed.append((int(segment), x0, y0, w, h))
                break
    return placed


def draw_labels(image: np.ndarray, index: np.ndarray, names: Sequence[str], colors: np.ndarray) -> np.ndarray:
    """Write names onto an RGB image: white on a pill of the segment's darkened colour.

    Args:
        image: (H, W, 3) uint8.
        index: (H, W) which segment owns the pixel, -1 = none.
        names: N texts. colors: (N, 3) uint8.
    """
    size = int(np.clip(round(7.5 + min(image.shape[:2]) / 85), 10, 30))
    writer = Writer(image)
    for segment, x, y, w, h in place_labels(index, names, size):
        dark = colors[segment].astype(np.float32)
        dark *= 62 / max(
            62.0, float(dark @ (0.299, 0.587, 0.114))
        )  # luminance at most 62: white stays readable
        writer.box(x, y, w, h, dark, radius=0.32 * h, opacity=0.84)
        writer.text(x + w / 2, y + h / 2, names[segment], size, (255, 255, 255))
    return writer.image()
