"""Sheets: pictures side by side under captions, with a legend."""

from collections.abc import Sequence

import cv2
import numpy as np

from .colors import check_palette
from .panoptic import display_name, draw_panoptic, enlarge, split_panoptic
from .text import Writer, text_size

PAPER = (250, 250, 248)
INK = (38, 40, 46)
FAINT = (120, 124, 134)


def side_by_side(
    panels: Sequence[tuple[str, np.ndarray]],
    title: str = '',
    legend: Sequence[tuple[str, Sequence[int]]] = (),
) -> np.ndarray:
    """One picture of several: captions above, an optional title at the left, an optional legend of colours
    below.

    Args:
        panels: (caption, (H, W, 3) uint8 RGB image); images are scaled to the first one's height.
        title: a line over everything, such as the file's name and its score.
        legend: (name, RGB colour) pairs.
    """
    if not panels:
        raise ValueError('side_by_side needs at least one panel')
    height = panels[0][1].shape[0]
    images = [
        image
        if image.shape[0] == height
        else cv2.resize(
            image, (round(image.shape[1] * height / image.shape[0]), height), interpolation=cv2.INTER_AREA
        )
        for _, image in panels
    ]
    size = int(np.clip(round(10 + height / 60), 13, 34))
    margin, gap = round(size * 1.1), round(size * 0.6)
    head = round(size * 2.0)
    top = margin // 2 + (round(size * 1.7) if title else 0)
    width = sum(i.shape[1] for i in images) + gap * (len(images) - 1) + 2 * margin
    small = max(11, round(size * 0.82))
    rows = legend_rows(legend, small, width - 2 * margin)
    row_height = round(small * 1.9)
    bottom = (round(size * 0.5) + row_height * len(rows) if rows else 0) + margin
    sheet = np.full((top + head + height + bottom, width, 3), PAPER, np.uint8)
    x, lefts = margin, []
    for image in images:
        sheet[top + head : top + head + height, x : x + image.shape[1]] = image
        lefts.append(x)
        x += image.shape[1] + gap
    writer = Writer(sheet)
    if title:
        writer.text(margin, margin // 2 + size * 0.85, title, size, FAINT, bold=False, anchor='lm')
    for left, (caption, _) in zip(lefts, panels):
        writer.text(left, top + head / 2, caption, size, INK, anchor='lm')
    y = top + head + height + round(size * 0.5) + row_height / 2
    for row in rows:
        x = margin
        for name, color, w in row:
            side = round(small * 1.05)
            writer.box(x, y - side / 2, side, side, color, radius=side * 0.28)
            writer.text(x + side + 0.45 * small, y, name, small, INK, bold=False, anchor='lm')
            x += w
        y += row_height
    return writer.image()


def legend_rows(legend, size: int, width: int) -> list[list[tuple[str, Sequence[int], float]]]:
    """Break (name, colour) pairs into rows that fit ``width``; adds each entry's own width."""
    rows, used = [], width + 1
    for name, color in legend:
        w = text_size(name, size, False)[0] + 3.1 * size
        if used + w > width:
            rows.append([])
            used = 0
        rows[-1].append((name, color, w))
        used += w
    return rows


def panoptic_sheet(
    image: np.ndarray,
    maps: Sequence[tuple[str, np.ndarray]],
    classes: Sequence[str],
    palette=None,
    *,
    thing_classes: Sequence[str] | None = None,
    title: str = '',
    min_side: int = 420,
    legend: bool = True,
) -> np.ndarray:
    """Sheet of an RGB image and panoptic maps of it, e.g. ``[('ground truth', gt), ('prediction', pred)]``.

    Args as :func:`mmxf.visualization.draw_panoptic`; the legend lists the classes that occur in the maps.
    """
    palette = check_palette(palette, len(classes))
    panels = [('image', enlarge(image, min_side))]
    present: dict[int, int] = {}
    for caption, panoptic in maps:
        panels.append((
            caption,
            draw_panoptic(image, panoptic, classes, palette, thing_classes=thing_classes, min_side=min_side),
        ))
        index, labels, _ = split_panoptic(panoptic, len(classes))
        for label, area in zip(
            labels.tolist(), np.bincount(index[index >= 0].ravel(), minlength=len(labels))
        ):
            present[label] = present.get(label, 0) + int(area)
    order = sorted(present, key=present.get, reverse=True)
    return side_by_side(
        panels, title, [(display_name(classes[label]), palette[label]) for label in order] if legend else ()
    )
