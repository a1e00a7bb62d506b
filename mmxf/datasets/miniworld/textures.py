"""Procedural textures: value noise, checker, stripes, bricks, planks. Inputs and outputs are float32 arrays
(N,).

``footprint`` is the width of a pixel on the surface in the texture's units; patterns finer than that fade to
their mean, which is what keeps far floors from aliasing.
"""

from functools import lru_cache

import numpy as np

PLAIN, STRIPES, CHECKER, CRATE, BANDS, DOTS, BRICKS = range(7)
TILE = 512


@lru_cache(maxsize=1)
def _noise_tile() -> np.ndarray:
    """Periodic fractal value noise, (TILE, TILE) float32 in [0, 1], mean about 0.5."""
    rng = np.random.default_rng(20)
    out = np.zeros((TILE, TILE))
    weight = 1.0
    for cells in (8, 16, 32, 64, 128):
        lattice = rng.random((cells, cells))
        x = np.arange(TILE) * cells / TILE
        i = x.astype(int)
        f = x - i
        f = f * f * (3 - 2 * f)
        j = (i + 1) % cells
        rows = lattice[i] * (1 - f)[:, None] + lattice[j] * f[:, None]
        out += weight * (rows[:, i] * (1 - f) + rows[:, j] * f - 0.5)
        weight *= 0.55
    out = 0.5 + 0.5 * out / (3 * out.std())
    return np.ascontiguousarray(np.clip(out, 0, 1), dtype=np.float32).ravel()


def noise(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Fractal value noise in [0, 1]; one unit of u, v is one large blob; period 8."""
    tile = _noise_tile()
    u, v = u * np.float32(TILE / 8), v * np.float32(TILE / 8)
    iu, iv = np.floor(u), np.floor(v)
    fu, fv = u - iu, v - iv
    i0 = iu.astype(np.int32) & (TILE - 1)
    j0 = (iv.astype(np.int32) & (TILE - 1)) * TILE
    i1 = (i0 + 1) & (TILE - 1)
    j1 = (j0 + TILE) & (TILE * TILE - 1)
    top = tile[j0 + i0] * (1 - fu) + tile[j0 + i1] * fu
    bottom = tile[j1 + i0] * (1 - fu) + tile[j1 + i1] * fu
    return top + (bottom - top) * fv


def fade(footprint: np.ndarray, period: float) -> np.ndarray:
    """Contrast left of a pattern with this period: 1 when pixels are fine, 0 from half a period a pixel
    on."""
    return np.clip(1.6 - footprint * (3.2 / period), 0, 1)


def stripes(u: np.ndarray) -> np.ndarray:
    """0 or 1, one stripe pair a unit."""
    return ((u - np.floor(u)) < 0.5).astype(np.float32)


def checker(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """0 or 1, one square a unit."""
    return ((np.floor(u) + np.floor(v)) % 2).astype(np.float32)


def cells(u: np.ndarray, v: np.ndarray, width: float, height: float, joint: float):
    """Running bond of bricks or planks, ``width`` x ``height`` with ``joint`` between (all in the units of
    u, v).

    Returns:
        is_joint (N,) in {0, 1}; tone (N,) in [0, 1], constant on each brick.
    """
    row = np.floor(v / height)
    x = u / width + 0.5 * (row % 2) + 0.37 * (row % 3)
    column = np.floor(x)
    fx, fy = (x - column) * width, v - row * height
    is_joint = ((fx < joint) | (fy < joint)).astype(np.float32)
    tone = np.sin(row * 12.9898 + column * 78.233) * 43758.547
    return is_joint, tone - np.floor(tone)


def pattern_mix(pattern: np.ndarray, u, v, edge, scale) -> np.ndarray:
    """How much of the second colour shows, (N,) in [0, 1], for things; pattern (N,) holds the constants
    above."""
    out = np.zeros(len(pattern), np.float32)
    for kind in np.unique(pattern):
        if kind == PLAIN:
            continue
        sel = np.flatnonzero(pattern == kind)
        a, b, k = u[sel], v[sel], scale[sel]
        if kind == STRIPES:
            mix = stripes(a * k)
        elif kind == CHECKER:
            mix = checker(a * k, b * k * 0.5)
        elif kind == CRATE:
            mix = (edge[sel] < k).astype(np.float32)
        elif kind == BANDS:
            mix = stripes(b * k)
        elif kind == DOTS:
            x, y = a * k, b * k * 0.5
            x, y = x - np.floor(x) - 0.5, y - np.floor(y) - 0.5
            mix = (x * x + y * y < 0.09).astype(np.float32)
        else:
            is_joint, tone = cells(a, b, 0.44, 0.15, 0.025)
            mix = np.maximum(is_joint, tone * 0.35)
        out[sel] = mix
    return out


def linear(rgb) -> np.ndarray:
    """Display colour in [0, 1] -> the linear value whose square root the renderer shows; (3,) or (n, 3)
    float32."""
    return np.square(np.asarray(rgb, np.float32))


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Display RGB (3,) of a colour with hue in turns."""
    k = (np.array([5.0, 3.0, 1.0]) + 6 * hue) % 6
    return value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
