"""Colours: one per class, a shade of it per instance."""

import colorsys
from collections.abc import Sequence

import numpy as np

# Steps of (hue, lightness, saturation) around the class colour. The first instance keeps the class colour
# itself; neighbours in the list differ clearly, so that two people side by side can be told apart.
SHADES = (
    (0.0, 0.0, 0.0),
    (0.03, 0.13, 0.0),
    (-0.03, -0.11, 0.05),
    (-0.055, 0.1, 0.1),
    (0.055, -0.09, 0.0),
    (0.0, 0.2, -0.1),
    (0.02, -0.17, 0.1),
    (0.08, 0.05, 0.0),
    (-0.08, -0.03, 0.0),
)


def generate_palette(num_classes: int) -> list[tuple[int, int, int]]:
    """RGB colours (0-255) for classes that come without a palette: hues by the golden angle, three
    lightnesses.
    """
    colors = []
    for i in range(num_classes):
        hue = (0.58 + i * 0.61803398875) % 1.0
        rgb = colorsys.hls_to_rgb(hue, (0.56, 0.44, 0.66)[i % 3], (0.75, 0.6, 0.85)[i // 3 % 3])
        colors.append(tuple(round(255 * c) for c in rgb))
    return colors


def check_palette(palette, num_classes: int) -> list[tuple[int, int, int]]:
    """``palette`` as RGB tuples, generated where it is None (or a name such as 'random'); too short raises
    ValueError.
    """
    if palette is None or isinstance(palette, str):
        return generate_palette(num_classes)
    if len(palette) < num_classes:
        raise ValueError(
            f'palette has {len(palette)} colours for {num_classes} classes; give one per class, or None'
        )
    return [tuple(int(c) for c in color) for color in palette]


def instance_shade(color: Sequence[int], instance: int) -> tuple[int, int, int]:
    """Shade of an RGB class colour for its ``instance``-th instance (from 0, which gets the colour
    itself).
    """
    if instance == 0:
        return tuple(int(c) for c in color)
    dh, dl, ds = SHADES[instance % len(SHADES)]
    h, l, s = colorsys.rgb_to_hls(*(c / 255 for c in color))
    # Past the list's end the hue keeps turning, so that a crowd of forty does not repeat exactly.
    h += dh + 0.023 * (instance // len(SHADES))
    l = min(max(l + dl, 0.25), 0.85)
    # A grey class colour has no hue to vary; a little saturation gives its instances one.
    s = min(max(s + ds, 0.25), 1.0)
    return tuple(round(255 * c) for c in colorsys.hls_to_rgb(h % 1.0, l, s))


def segment_colors(labels: Sequence[int], is_thing: Sequence[bool], palette) -> np.ndarray:
    """(N, 3) uint8 RGB colours of N segments: stuff the class colour, things a shade of it per instance."""
    seen: dict[int, int] = {}
    colors = np.zeros((len(labels), 3), np.uint8)
    for i, (label, thing) in enumerate(zip(labels, is_thing)):
        instance = seen.get(label, 0) if thing else 0
        seen[label] = instance + 1
        colors[i] = instance_shade(palette[label], instance)
    return colors
