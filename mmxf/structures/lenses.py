"""Rays of perspective, fisheye and catadioptric cameras, for depth along the ray, and points in space.

Axes are OpenCV's: x right, y down, z ahead. Pixel centres have whole coordinates.
"""
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

LENSES = {'fisheye': ('k1', 'k2', 'k3', 'k4'), 'unified': ('xi', 'k1', 'k2', 'p1', 'p2')}
_STEPS = 30         # of the distortion's inversion
_CLOSE = 1e-6       # of a focal length: an inversion that is farther off has no answer


def camera_rays(size: tuple[int, int], intrinsics, lens: Mapping | None = None) -> np.ndarray:
    """Unit vectors of an image's pixels.

    Args:
        size: (H, W).
        intrinsics: (fx, fy, cx, cy) in pixels.
        lens: None for a pinhole; ``dict(model='fisheye', k1=, k2=, k3=, k4=)``, Kannala and Brandt's model as OpenCV's `fisheye`
            (ScanNet++); ``dict(model='unified', xi=, k1=, k2=, p1=, p2=)``, Mei and Rives' sphere with radial and tangential
            distortion (KITTI-360's fisheye cameras). Factors that are left out are 0.

    Returns:
        (H, W, 3) float32, kept for the next image of the camera and not to be written to; NaN where a pixel sees no ray of the
        model, as in the corners of a fisheye image.

    Raises:
        ValueError: for a lens that is not known, or a factor that it does not have.
    """
    factors = dict(lens or {})
    model = factors.pop('model', None)
    if lens is not None and model not in LENSES:
        raise ValueError(f"lens model must be {' or '.join(map(repr, LENSES))}, got {model!r}")
    unknown = sorted(set(factors) - set(LENSES.get(model, ())))
    if unknown:
        raise ValueError(f'a {model} lens has {", ".join(LENSES[model])}; got {", ".join(unknown)}')
    values = tuple(float(factors.get(name, 0)) for name in LENSES.get(model, ()))
    return _rays(tuple(size), tuple(float(v) for v in intrinsics), model, values)


@lru_cache(maxsize=4)
def _rays(size: tuple[int, int], intrinsics: tuple[float, ...], model: str | None, factors: tuple[float, ...]) -> np.ndarray:
    fx, fy, cx, cy = intrinsics
    x, y = np.meshgrid((np.arange(size[1]) - cx) / fx, (np.arange(size[0]) - cy) / fy)
    rays = {None: _pinhole, 'fisheye': _fisheye, 'unified': _unified}[model](x, y, *factors).astype(np.float32)
    rays.flags.writeable = False
    return rays


def _pinhole(x, y):
    rays = np.stack([x, y, np.ones_like(x)], -1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def _fisheye(x, y, k1, k2, k3, k4):
    """Distance from the centre = angle x polynomial of its square."""
    def distorted(angle):
        square = angle * angle
        return angle * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))

    radius = np.hypot(x, y)
    angles = np.linspace(0, np.pi, 20001)
    values = distorted(angles)
    # Beyond its first maximum the polynomial comes back: those angles are no answer.
    falling = np.flatnonzero(np.diff(values) <= 0)
    count = falling[0] + 1 if falling.size else len(angles)
    angle = np.interp(radius, values[:count], angles[:count], right=np.nan)      # off by less than 1e-8
    scale = np.where(radius > 0, np.sin(angle) / np.where(radius > 0, radius, 1), 1)
    return np.stack([x * scale, y * scale, np.cos(angle)], -1)


def _unified(x, y, xi, k1, k2, p1, p2):
    """A unit sphere seen from xi behind its centre."""
    def shift(u, v):
        square = u * u + v * v
        radial = square * (k1 + square * k2)
        return (u * radial + 2 * p1 * u * v + p2 * (square + 2 * u * u), v * radial + p1 * (square + 2 * v * v) + 2 * p2 * u * v)

    u, v = x.copy(), y.copy()
    with np.errstate(over='ignore', invalid='ignore'):
        for _ in range(_STEPS):
            du, dv = shift(u, v)
            u, v = x - du, y - dv
        du, dv = shift(u, v)
        off = np.hypot(u + du - x, v + dv - y)
        square = u * u + v * v
        inside = 1 + (1 - xi * xi) * square
        factor = (xi + np.sqrt(inside)) / (square + 1)
        rays = np.stack([factor * u, factor * v, factor - xi], -1)
        rays[~(off <= _CLOSE) | ~(inside >= 0)] = np.nan
    return rays
