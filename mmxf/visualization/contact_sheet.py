"""Many annotated samples on one picture."""
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from .colors import check_palette
from .panoptic import draw_panoptic
from .sheet import FAINT, PAPER
from .text import Writer, text_size

TILE = 320


def fit_tile(image: np.ndarray, side: int = TILE) -> np.ndarray:
    """(H, W, 3) scaled to fit a square of `side`, on paper."""
    scale = side / max(image.shape[:2])
    width, height = (max(1, round(n * scale)) for n in image.shape[1::-1])
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    tile = np.full((side, side, 3), PAPER, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    tile[top:top + height, left:left + width] = small
    return tile


def contact_sheet(tiles: Sequence[tuple[np.ndarray, str]], columns: int = 4, side: int = TILE) -> np.ndarray:
    """Pictures in a grid, each with a line below it.

    Args:
        tiles: (RGB uint8 image, line).
        columns: how many side by side.
        side: of a tile, pixels.

    Raises:
        ValueError: without tiles.
    """
    if not tiles:
        raise ValueError('a contact sheet needs at least one picture')
    columns = min(columns, len(tiles))
    gap, line, rows = 12, 26, -(-len(tiles) // columns)
    sheet = np.full((rows * (side + line + gap) + gap, columns * (side + gap) + gap, 3), PAPER, np.uint8)
    places = [(gap + (i % columns) * (side + gap), gap + (i // columns) * (side + line + gap)) for i in range(len(tiles))]
    for (image, _), (x, y) in zip(tiles, places):
        sheet[y:y + side, x:x + side] = fit_tile(image, side)
    writer = Writer(sheet)
    for (_, text), (x, y) in zip(tiles, places):
        while text and text_size(text, 13, False)[0] > side:
            text = text[:-2] + '…' if len(text) > 3 else ''
        writer.text(x, y + side + line / 2, text, 13, FAINT, bold=False, anchor='lm')
    return writer.image()


def annotated(kind: str, found: Sequence[Any], meta: Mapping) -> np.ndarray:
    """The picture of one sample under its annotation.

    Args:
        kind: 'panoptic', 'semantic', 'detection', 'classification', 'pose' or 'depth'.
        found: what the check of that kind returned.
        meta: classes, thing_classes and palette of the data set.
    """
    image, target = found
    classes = list(meta.get('classes') or ())
    if kind in ('panoptic', 'semantic') and target is not None:
        return draw_panoptic(image, target, classes, meta.get('palette'), thing_classes=meta.get('thing_classes'), min_side=TILE)
    if kind == 'detection':
        return draw_boxes(image, target, classes, meta.get('palette'))
    if kind == 'depth' and target is not None:
        return np.concatenate([image, color_depth(target)], 0 if image.shape[1] > 1.6 * image.shape[0] else 1)
    if kind == 'pose':
        return draw_joints(image, target)
    return image


def draw_boxes(image: np.ndarray, boxes: Sequence[tuple[Sequence[float], int]], classes: Sequence[str], palette) -> np.ndarray:
    """Boxes (x1, y1, x2, y2) with their classes, in colours of the palette."""
    colors = check_palette(palette, len(classes))
    scale = max(1.0, TILE / max(image.shape[:2]))
    out = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST) if scale > 1 else image.copy()
    width = max(1, round(max(out.shape[:2]) / 200))
    for box, label in boxes:
        if np.isfinite(box).all():
            color = colors[label] if 0 <= label < len(colors) else (255, 0, 0)
            corners = np.clip(np.round(np.asarray(box, float) * scale), -9999, 9999).astype(int)
            cv2.rectangle(out, tuple(map(int, corners[:2])), tuple(map(int, corners[2:])), tuple(map(int, color)), width)
            name = classes[label] if 0 <= label < len(classes) else f'label {label}'
            cv2.putText(out, name, (int(corners[0]) + 2, int(corners[1]) + 6 + 5 * width), cv2.FONT_HERSHEY_SIMPLEX,
                        0.25 + 0.15 * width, tuple(map(int, color)), width, cv2.LINE_AA)
    return out


def color_depth(depth: np.ndarray) -> np.ndarray:
    """(H, W) metres as colours, near is bright; black where nothing is known."""
    known = depth > 0
    low, high = np.percentile(depth[known], (1, 99)) if known.any() else (0.0, 1.0)
    share = np.clip((depth - low) / max(high - low, 1e-6), 0, 1)
    colors = cv2.applyColorMap(np.uint8(255 * (1 - share)), cv2.COLORMAP_MAGMA)[..., ::-1].copy()
    colors[~known] = 0
    return colors


def draw_joints(points: np.ndarray, edges: np.ndarray, side: int = TILE) -> np.ndarray:
    """2-D joints (K, 2) in any unit, scaled to fill a white square."""
    low, high = points.min(0), points.max(0)
    scale = 0.8 * side / max(float((high - low).max()), 1e-6)
    places = np.round((points - (low + high) / 2) * scale + side / 2).astype(int)
    out = np.full((side, side, 3), 255, np.uint8)
    for a, b in edges:
        cv2.line(out, tuple(map(int, places[a])), tuple(map(int, places[b])), (60, 110, 200), 3, cv2.LINE_AA)
    for place in places:
        cv2.circle(out, tuple(map(int, place)), 4, (40, 42, 48), -1, cv2.LINE_AA)
    return out
