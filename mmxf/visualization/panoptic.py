"""Panoptic segments over an image: colours, borders, names."""

from collections.abc import Sequence

import cv2
import numpy as np

from .colors import check_palette, segment_colors
from .labels import draw_labels

# mmdet's encoding of a panoptic map: label + instance id * 1000.
INSTANCE_OFFSET = 1000


def as_map(panoptic_map) -> np.ndarray:
    """(H, W) int64 array of a numpy array or torch tensor of shape (H, W) or (1, H, W)."""
    if hasattr(panoptic_map, 'detach'):
        panoptic_map = panoptic_map.detach().cpu().numpy()
    array = np.asarray(panoptic_map)
    if array.ndim == 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2:
        raise ValueError(f'a panoptic map has shape (H, W) or (1, H, W), got {array.shape}')
    return array.astype(np.int64)


def split_panoptic(panoptic_map, num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Map in mmdet's encoding -> which segment owns each pixel.

    Returns: index (H, W) int32, -1 = void; labels (N,); instance ids (N,), 0 where the encoding gives none.
        Void is every value whose label (value % 1000) is ``num_classes`` or more, or that is negative.
    """
    array = as_map(panoptic_map)
    values, index = np.unique(array, return_inverse=True)
    void = (values < 0) | (values % INSTANCE_OFFSET >= num_classes)
    new = np.where(void, -1, np.cumsum(~void) - 1).astype(np.int32)
    values = values[~void]
    return new[index.reshape(array.shape)], values % INSTANCE_OFFSET, values // INSTANCE_OFFSET


def enlarge_index(index: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Index map at a larger ``size`` (H, W), with rounded instead of stair-stepped borders.

    Each segment's mask is resized linearly and the largest wins; far too many segments fall back to nearest.
    """
    height, width = size
    if index.shape == (height, width):
        return index
    ids = np.unique(index)
    if len(ids) > 150 or height < index.shape[0]:
        return cv2.resize(index, (width, height), interpolation=cv2.INTER_NEAREST)
    best = np.full((height, width), -1.0, np.float32)
    out = np.full((height, width), -1, np.int32)
    for i in ids:
        mask = cv2.GaussianBlur((index == i).astype(np.float32), (0, 0), 0.7)
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        wins = mask > best
        best[wins] = mask[wins]
        out[wins] = i
    return out


def border_weights(index: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Antialiased (H, W) weights in [0, 1] of a thin line between segments and of the soft shadow around
    it.
    """
    edge = np.zeros(index.shape, np.float32)
    differs = index[:, 1:] != index[:, :-1]
    edge[:, 1:][differs] = 1
    edge[:, :-1][differs] = 1
    differs = index[1:] != index[:-1]
    edge[1:][differs] = 1
    edge[:-1][differs] = 1
    # The two pixels either side of a border are marked; blurring makes of them a line about `width` pixels
    # wide.
    line = np.clip(cv2.GaussianBlur(edge, (0, 0), 0.55 * width) * 1.15 - 0.1, 0, 1)
    shadow = np.clip(cv2.GaussianBlur(edge, (0, 0), 1.8 * width) * 1.6, 0, 1)
    return line, shadow


def draw_panoptic(
    image: np.ndarray,
    panoptic_map,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]] | None = None,
    *,
    thing_classes: Sequence[str] | None = None,
    scores: dict[int, float] | None = None,
    alpha: float = 0.58,
    labels: bool = True,
    min_side: int = 420,
) -> np.ndarray:
    """Draw panoptic segments over an image.

    Args:
        image: (H, W, 3) uint8, RGB.
        panoptic_map: (H, W) or (1, H, W) in mmdet's encoding, label + instance id * 1000; labels of
            ``len(classes)`` and above, and negative values, are void and stay grey. A map of another size
            than the image is resized.
        classes: names, by label.
        palette: RGB colours by label; None generates them.
        thing_classes: names of the classes with instances, whose colours vary. None: whatever has an
            instance id.
        scores: map value -> score, printed behind the name.
        alpha: how strongly the colours cover the image, 0-1.
        labels: write class names.
        min_side: smaller images are enlarged so that their shorter side has this many pixels; 0 never
            enlarges.

    Returns:
        (H', W', 3) uint8, RGB.
    """
    palette = check_palette(palette, len(classes))
    index, segment_labels, instances = split_panoptic(panoptic_map, len(classes))
    image = enlarge(image, min_side)
    index = enlarge_index(index, image.shape[:2])
    if thing_classes is None:
        is_thing = [bool(i > 0) for i in instances]
    else:
        things = {classes.index(name) for name in thing_classes if name in classes}
        is_thing = [int(label) in things for label in segment_labels]
    colors = segment_colors([int(label) for label in segment_labels], is_thing, palette)
    out = blend(image, index, colors, alpha)
    if not labels:
        return out
    names = [display_name(classes[label]) for label in segment_labels]
    if scores:
        values = segment_labels + instances * INSTANCE_OFFSET
        names = [
            f'{name} {scores[v]:.2f}' if v in scores else name for name, v in zip(names, values.tolist())
        ]
    return draw_labels(out, index, names, colors)


def blend(image: np.ndarray, index: np.ndarray, colors: np.ndarray, alpha: float) -> np.ndarray:
    """Image under the segments' colours, void greyed, borders as white lines in a soft shadow. All RGB
    uint8.
    """
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.float32)
    # Half-grey under the colour keeps the texture and stops the photo's hue from shifting the class colour.
    base = 0.5 * image.astype(np.float32) + 0.5 * grey
    table = np.concatenate([colors.astype(np.float32), np.zeros((1, 3), np.float32)])  # [-1] is void's
    strength = np.full((len(table), 1), alpha, np.float32)
    strength[-1] = 0
    covered = strength[index]
    out = base * (1 - covered) + table[index] * covered
    out[index < 0] = 0.55 * grey[index < 0] + 20
    line, shadow = border_weights(index, max(1.0, min(image.shape[:2]) / 560))
    out *= 1 - 0.38 * shadow[..., None]
    out += (255 - out) * (0.92 * line[..., None])
    return np.clip(out + 0.5, 0, 255).astype(np.uint8)


def enlarge(image: np.ndarray, min_side: int) -> np.ndarray:
    """Image whose shorter side has at least ``min_side`` pixels."""
    height, width = image.shape[:2]
    scale = min_side / max(1, min(height, width))
    if scale <= 1:
        return image
    return cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_CUBIC)


def display_name(name: str) -> str:
    """Name to print: COCO's 'wall-other-merged' reads 'wall', 'door-stuff' 'door'."""
    for suffix in ('-merged', '-other', '-stuff'):
        if name.endswith(suffix) and len(name) > len(suffix):
            name = name[: -len(suffix)]
    return name
