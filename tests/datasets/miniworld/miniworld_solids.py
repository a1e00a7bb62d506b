"""A second, slow and simple description of the solids in float64: signed distances, marching along rays."""

import numpy as np

from mmxf.datasets.miniworld.primitives import BOX, CAPSULE, CYLINDER, SPHERE


def distance(prims, k: int, points: np.ndarray) -> np.ndarray:
    """Signed distance (N,) of world points (N, 3) to primitive k, negative inside."""
    local = (points - prims.centre[:, k].astype(float)) @ prims.frame[:, :, k].astype(float).T
    size, kind = prims.size[:, k].astype(float), prims.kind[k]
    if kind == SPHERE:
        return np.linalg.norm(local, axis=1) - size[0]
    if kind == BOX:
        q = np.abs(local) - size
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)
    if kind == CYLINDER:
        q = np.stack([np.hypot(local[:, 0], local[:, 1]) - size[0], np.abs(local[:, 2]) - size[2]], 1)
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)
    assert kind == CAPSULE
    local[:, 2] -= np.clip(local[:, 2], -size[2], size[2])
    return np.linalg.norm(local, axis=1) - size[0]


def march(prims, k: int, origin: np.ndarray, direction: np.ndarray, far: float = 60.0) -> np.ndarray:
    """Distance (N,) along rays (N, 3) to primitive k by sphere tracing; inf for a miss."""
    t = np.zeros(len(direction))
    for _ in range(400):
        gap = distance(prims, k, origin + t[:, None] * direction)
        t = np.minimum(t + np.maximum(gap, 0), far)
        if ((gap < 1e-6) | (t == far)).all():
            break
    return np.where(gap < 1e-5, t, np.inf)
