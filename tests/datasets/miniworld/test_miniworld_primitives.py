import numpy as np
import pytest
from miniworld_solids import distance, march

from mmxf.datasets.miniworld.primitives import (
    BOX,
    CAPSULE,
    CYLINDER,
    SPHERE,
    Primitives,
    capsules,
    intersect,
    make,
    surface,
)

KINDS = {'sphere': SPHERE, 'box': BOX, 'cylinder': CYLINDER, 'capsule': CAPSULE}


def turned(rng, n):
    q = np.linalg.qr(rng.normal(size=(n, 3, 3)))[0]
    return q * np.sign(np.linalg.det(q))[:, None, None]


def rays_at(rng, n, spread=1.2):
    """Origins around the world's origin and directions to points near it."""
    origin = rng.normal(size=(n, 3))
    origin *= rng.uniform(3, 12, (n, 1)) / np.linalg.norm(origin, axis=1, keepdims=True)
    direction = rng.uniform(-spread, spread, (n, 3)) - origin
    return origin, direction / np.linalg.norm(direction, axis=1, keepdims=True)


@pytest.mark.parametrize('kind', KINDS)
def test_intersection_equals_marching_along_the_ray(kind):
    rng = np.random.default_rng(0)
    prims = make(KINDS[kind], rng.uniform(-0.3, 0.3, (6, 3)), rng.uniform(0.2, 1.0, (6, 3)), turned(rng, 6))
    for k in range(6):
        origin, direction = rays_at(rng, 200, 0.7)
        args = origin.T.astype(np.float32), direction.T.astype(np.float32)
        t = intersect(prims, np.full(200, k), *args)
        want = march(prims, k, args[0].T.astype(float), args[1].T.astype(float))
        same = np.isfinite(t) == np.isfinite(want)
        assert same.mean() > 0.985  # rays that graze the surface may differ
        both = np.isfinite(t) & np.isfinite(want)
        assert both.sum() > 20
        error = np.abs(t[both] - want[both])
        assert np.median(error) < 1e-4 and np.quantile(error, 0.97) < 5e-3


@pytest.mark.parametrize('kind', KINDS)
def test_normal_is_the_gradient_of_the_distance(kind):
    rng = np.random.default_rng(1)
    prims = make(KINDS[kind], (0.1, -0.2, 0.3), (0.4, 0.5, 0.7), turned(rng, 1)[0])
    origin, direction = rays_at(rng, 300, 0.5)
    t = intersect(prims, np.zeros(300, int), origin.T.astype(np.float32), direction.T.astype(np.float32))
    hit = np.isfinite(t)
    points = (origin + np.where(hit, t, 0)[:, None] * direction)[hit]
    normal = surface(prims, np.zeros(hit.sum(), int), points.T.astype(np.float32))[0]
    steps = 1e-4 * np.eye(3)
    slope = np.stack([distance(prims, 0, points + s) - distance(prims, 0, points - s) for s in steps]) / 2e-4
    close = np.abs(normal - slope).max(0) < 0.02
    assert close.mean() > 0.97  # points within the step of an edge have no gradient
    assert np.allclose(np.linalg.norm(normal, axis=0), 1, atol=1e-3)


def test_rays_that_point_away_or_start_inside_miss():
    prims = Primitives.join([make(k, (0, 0, 0), (1, 1, 1)) for k in KINDS.values()])
    index = np.arange(4)
    away = intersect(prims, index, np.float32([[5], [0.1], [0.2]]), np.float32([[1], [0], [0]]))
    inside = intersect(prims, index, np.float32([[0], [0.1], [0.2]]), np.float32([[1], [0], [0]]))
    assert not np.isfinite(away).any() and not np.isfinite(inside).any()


def test_rays_along_axes_hit_where_they_should():
    """Directions parallel to faces and axes, where a careless formula divides by zero."""
    prims = Primitives.join([make(k, (0, 0, 0), (1, 1, 1)) for k in KINDS.values()])
    down = intersect(prims, np.arange(4), np.float32([[0], [0], [5]]), np.float32([[0], [0], [-1]]))
    side = intersect(prims, np.arange(4), np.float32([[5], [0], [0]]), np.float32([[-1], [0], [0]]))
    assert np.allclose(down, [4, 4, 4, 3], atol=1e-4)  # the capsule adds its radius to the half length
    assert np.allclose(side, 4, atol=1e-4)


def test_capsule_of_zero_length_is_a_sphere():
    ball = capsules([[1.0, 2, 3]], [[1.0, 2, 3]], 0.5)
    t = intersect(ball, np.zeros(1, int), np.float32([[1], [2], [8]]), np.float32([[0], [0], [-1]]))
    assert np.allclose(t, 4.5, atol=1e-5)
