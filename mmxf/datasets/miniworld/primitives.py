"""Spheres, oriented boxes, capped cylinders and capsules: intersection, normals and texture coordinates.

All arrays are float32 with the coordinate first, (3, N), so that each component is contiguous. Every
primitive has a centre, a frame (rows: local x, y, z axes in the world) and a size:

    sphere    (radius, -, -)          box      half extents
    cylinder  (radius, -, half height along local z)
    capsule   (radius, -, half length of the core segment along local z)
"""

from dataclasses import dataclass, fields

import numpy as np

SPHERE, BOX, CYLINDER, CAPSULE = range(4)
EPS = 1e-4


@dataclass
class Primitives:
    """M primitives, struct of arrays.

    Args:
        kind: (M,) int8.
        centre: (3, M). frame: (3, 3, M), [axis, coordinate, primitive]. size: (3, M).
        group: (M,) int: primitives of one object share a group; culling tests the group first.
        segment: (M,) int32: panoptic id that the primitive's pixels get.
        colour_a, colour_b: (3, M) linear RGB. pattern: (M,) int8, see textures. scale: (M,). gloss: (M,).
    """

    kind: np.ndarray
    centre: np.ndarray
    frame: np.ndarray
    size: np.ndarray
    group: np.ndarray
    segment: np.ndarray
    colour_a: np.ndarray
    colour_b: np.ndarray
    pattern: np.ndarray
    scale: np.ndarray
    gloss: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def bound(self) -> np.ndarray:
        """(M,) radius of the bounding sphere around the centre."""
        r, y, z = self.size
        out = np.where(self.kind == BOX, np.sqrt(r * r + y * y + z * z), r)
        out = np.where(self.kind == CYLINDER, np.sqrt(r * r + z * z), out)
        return np.where(self.kind == CAPSULE, r + z, out)

    @classmethod
    def join(cls, parts: list['Primitives']) -> 'Primitives':
        """Concatenate; groups are renumbered so that each part keeps its own."""
        out, shift = {}, 0
        groups = []
        for part in parts:
            groups.append(part.group + shift)
            shift += int(part.group.max()) + 1 if len(part) else 0
        for f in fields(cls):
            arrays = groups if f.name == 'group' else [getattr(p, f.name) for p in parts]
            out[f.name] = np.concatenate(arrays, axis=-1)
        return cls(**out)


def make(
    kind: int,
    centre,
    size,
    frame=None,
    *,
    segment: int = 0,
    colour_a=(0.5, 0.5, 0.5),
    colour_b=None,
    pattern=0,
    scale=1.0,
    gloss=0.0,
) -> Primitives:
    """Primitives of one kind and one object.

    Args:
        kind: SPHERE, BOX, CYLINDER or CAPSULE.
        centre: (n, 3) or (3,). size: (n, 3) or (3,), see the module. frame: (n, 3, 3) or (3, 3); identity by
            default.
        colour_a, colour_b: (n, 3) or (3,) linear RGB. pattern, scale, gloss: scalar or (n,).
    """
    centre = np.atleast_2d(np.asarray(centre, np.float32))
    n = len(centre)

    def rows(value, shape, dtype=np.float32):
        return np.broadcast_to(np.asarray(value, dtype), (n, *shape))

    frame = rows(np.eye(3) if frame is None else frame, (3, 3))
    colour_b = colour_a if colour_b is None else colour_b
    return Primitives(
        kind=np.full(n, kind, np.int8),
        centre=centre.T.copy(),
        frame=np.moveaxis(frame, 0, -1).copy(),
        size=rows(size, (3,)).T.copy(),
        group=np.zeros(n, np.int32),
        segment=np.full(n, segment, np.int32),
        colour_a=rows(colour_a, (3,)).T.copy(),
        colour_b=rows(colour_b, (3,)).T.copy(),
        pattern=rows(pattern, (), np.int8).copy(),
        scale=rows(scale, ()).copy(),
        gloss=rows(gloss, ()).copy(),
    )


def capsules(start, end, radius, **kwargs) -> Primitives:
    """Capsules from ``start`` to ``end``, (n, 3) each, with ``radius`` (n,); other arguments as in
    :func:`make`."""
    start, end = np.atleast_2d(np.asarray(start, float)), np.atleast_2d(np.asarray(end, float))
    axis = end - start
    length = np.linalg.norm(axis, axis=1, keepdims=True)
    axis = np.where(length > 1e-9, axis / np.maximum(length, 1e-9), [0.0, 0.0, 1.0])
    helper = np.where(np.abs(axis[:, 2:]) < 0.9, [0.0, 0.0, 1.0], [1.0, 0.0, 0.0])
    x = np.cross(helper, axis)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    frame = np.stack([x, np.cross(axis, x), axis], 1)
    radius = np.broadcast_to(np.asarray(radius, float), (len(start),))
    size = np.stack([radius, radius, length[:, 0] / 2], 1)
    return make(CAPSULE, (start + end) / 2, size, frame, **kwargs)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot product over the first axis of (3, N) arrays."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def take(a: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Columns of (3, N); a (3, 1) array stands for all columns and stays as it is."""
    return a if a.shape[-1] == 1 else np.take(a, index, axis=-1)


def intersect(prims: Primitives, index: np.ndarray, origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Distance along rays to the first surface point, one primitive per ray.

    Args:
        index: (P,) primitive of each pair. origin, direction: (3, P) or (3, 1); directions are unit vectors.

    Returns:
        (P,) float32 distances, inf for a miss or when the ray starts inside.
    """
    out = np.full(len(index), np.inf, np.float32)
    kinds = prims.kind[index]
    for kind, solve in enumerate((_sphere, _box, _cylinder, _capsule)):
        sel = np.flatnonzero(kinds == kind)
        if not len(sel):
            continue
        which = index[sel]
        d = take(direction, sel)
        # Solve relative to the ray's point nearest the centre: no cancellation for far objects in float32.
        q = take(origin, sel) - prims.centre[:, which]
        shift = -dot(q, d)
        q = q + shift * d
        with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
            t = solve(prims, which, q, d) + shift
            out[sel] = np.where(t > EPS, t, np.inf)  # NaN (miss) compares false
    return out


def _sphere(prims, which, q, d):
    radius = prims.size[0, which]
    return -np.sqrt(radius * radius - dot(q, q))


def _box(prims, which, q, d):
    near = far = None
    for k in range(3):
        axis = prims.frame[k][:, which]
        rate = dot(d, axis)
        rate = np.where(np.abs(rate) < 1e-9, np.float32(1e-9), rate)
        mid = -dot(q, axis) / rate
        half = prims.size[k, which] / np.abs(rate)
        near = mid - half if near is None else np.maximum(near, mid - half)
        far = mid + half if far is None else np.minimum(far, mid + half)
    return np.where(near < far, near, np.nan)


def _round(prims, which, q, d):
    """Both crossings of the infinite cylinder around local z; NaN for a miss."""
    axis = prims.frame[2][:, which]
    qa, da = dot(q, axis), dot(d, axis)
    m = np.maximum(1 - da * da, 1e-7)
    radius = prims.size[0, which]
    qq = dot(q, q)
    mid = qa * da
    root = np.sqrt(mid * mid - m * (qq - qa * qa - radius * radius))
    return qa, da, qq, radius, (mid - root) / m, (mid + root) / m


def _cylinder(prims, which, q, d):
    qa, da, _, _, near, far = _round(prims, which, q, d)
    da = np.where(np.abs(da) < 1e-9, np.float32(1e-9), da)
    mid, half = -qa / da, prims.size[2, which] / np.abs(da)
    near, far = np.maximum(near, mid - half), np.minimum(far, mid + half)
    return np.where(near < far, near, np.nan)


def _capsule(prims, which, q, d):
    qa, da, qq, radius, near, _ = _round(prims, which, q, d)
    half = prims.size[2, which]
    height = qa + near * da
    end = np.clip(height, -half, half)  # which end ball, where the core's side is not hit
    ball = end * da - np.sqrt(np.square(end * da) - (qq - 2 * end * qa + end * end - radius * radius))
    return np.where(np.abs(height) <= half, near, ball)


def surface(prims: Primitives, index: np.ndarray, points: np.ndarray):
    """Normals and texture coordinates at surface points.

    Args:
        index: (N,) primitive of each point. points: (3, N).

    Returns:
        normal (3, N); u, v (N,): angle in turns and local height (sphere: over the radius) for round ones,
            metres on
        the face for boxes, 0 and world height for capsules; edge (N,): metres to the nearest box edge, else
        large.
    """
    n = len(index)
    normal = np.empty((3, n), np.float32)
    u, v = np.zeros(n, np.float32), np.zeros(n, np.float32)
    edge = np.full(n, 1e3, np.float32)
    kinds = prims.kind[index]
    for kind in range(4):
        sel = np.flatnonzero(kinds == kind)
        if not len(sel):
            continue
        which = index[sel]
        p = points[:, sel] - prims.centre[:, which]
        frame, size = prims.frame, prims.size[:, which]
        z_axis = frame[2][:, which]
        z = dot(p, z_axis)
        if kind == CAPSULE:
            normal[:, sel] = (p - np.clip(z, -size[2], size[2]) * z_axis) / size[0]
            v[sel] = points[2, sel]
            continue
        x_axis, y_axis = frame[0][:, which], frame[1][:, which]
        x, y = dot(p, x_axis), dot(p, y_axis)
        if kind == BOX:
            gap = np.stack([x, y, z])
            sign = np.sign(gap)
            gap = np.abs(gap) - size
            face = gap.argmax(0)
            axes = np.where(face == 0, x_axis, np.where(face == 1, y_axis, z_axis))
            normal[:, sel] = axes * np.take_along_axis(sign, face[None], 0)[0]
            u[sel] = np.where(face == 0, y, x)
            v[sel] = np.where(face == 2, y, z)
            gap = np.where(face == np.arange(3)[:, None], -np.inf, gap)
            edge[sel] = -gap.max(0)
            continue
        u[sel] = np.arctan2(y, x) * np.float32(0.5 / np.pi)
        if kind == SPHERE:
            normal[:, sel] = p / size[0]
            v[sel] = z / size[0]
        else:
            side = p - z * z_axis
            radial = np.sqrt(dot(side, side))
            cap = np.abs(z) - size[2] > radial - size[0]
            normal[:, sel] = np.where(cap, np.sign(z) * z_axis, side / np.maximum(radial, 1e-6))
            v[sel] = z
    return normal, u, v, edge
