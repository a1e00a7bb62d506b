"""Rays of cameras: against OpenCV, against their own models forwards, by hand."""
import cv2
import numpy as np
import pytest

from mmxf.structures.lenses import camera_rays

INTRINSICS = (60.0, 62.0, 49.0, 38.5)
SIZE = (80, 100)


def pixels(size=SIZE):
    x, y = np.meshgrid(np.arange(size[1], dtype=np.float64), np.arange(size[0], dtype=np.float64))
    return np.stack([x, y], -1)


def test_a_pinhole_by_hand():
    rays = camera_rays((3, 5), (2.0, 1.0, 2.0, 1.0))
    np.testing.assert_allclose(rays[1, 2], [0, 0, 1])
    np.testing.assert_allclose(rays[1, 4], np.array([1, 0, 1]) / 2 ** 0.5, rtol=1e-6)
    np.testing.assert_allclose(rays[2, 2], np.array([0, 1, 1]) / 2 ** 0.5, rtol=1e-6)


def test_a_fisheye_equals_opencv():
    factors = (-0.03, -0.006, -0.002, 0.0001)
    rays = camera_rays(SIZE, INTRINSICS, dict(zip(('model', 'k1', 'k2', 'k3', 'k4'), ('fisheye', *factors))))
    fx, fy, cx, cy = INTRINSICS
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    points = (rays[..., :2] / rays[..., 2:]).reshape(-1, 1, 2).astype(np.float64)
    seen = cv2.fisheye.distortPoints(points, matrix, np.array(factors)).reshape(*SIZE, 2)
    assert np.abs(seen - pixels()).max() < 1e-3
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1, rtol=1e-6)


def test_a_fisheye_looks_backwards_and_ends_where_its_polynomial_falls():
    rays = camera_rays((1, 200), (40.0, 40.0, 0.0, 0.0), dict(model='fisheye'))        # angle = distance / 40
    np.testing.assert_allclose(rays[0, 100], [np.sin(2.5), 0, np.cos(2.5)], atol=1e-6)
    assert np.isfinite(rays[0, :125]).all() and np.isnan(rays[0, 127:]).all()           # pi is at 125.7
    bent = camera_rays((1, 200), (40.0, 40.0, 0.0, 0.0), dict(model='fisheye', k1=-0.1))
    limit = (1 / 0.3) ** 0.5                                                            # of a - 0.1 a^3
    assert np.isnan(bent[0, int(np.ceil(40 * (limit - 0.1 * limit ** 3))):]).all()
    assert (np.diff(bent[0, :48, 2]) < 0).all()


def test_a_unified_camera_sees_its_rays_where_they_came_from():
    lens = dict(model='unified', xi=2.2, k1=0.017, k2=1.65, p1=4e-4, p2=-6e-4)
    intrinsics = (95.0, 96.0, 51.0, 40.0)
    rays = camera_rays(SIZE, intrinsics, lens).astype(np.float64)
    known = np.isfinite(rays[..., 0])
    assert 0.5 < known.mean() < 1 and not known[0, 0]
    np.testing.assert_allclose(np.linalg.norm(rays[known], axis=-1), 1, rtol=1e-6)
    u, v = (rays[..., i] / (rays[..., 2] + lens['xi']) for i in (0, 1))
    square = u * u + v * v
    radial = 1 + lens['k1'] * square + lens['k2'] * square ** 2
    x = u * radial + 2 * lens['p1'] * u * v + lens['p2'] * (square + 2 * u * u)
    y = v * radial + lens['p1'] * (square + 2 * v * v) + 2 * lens['p2'] * u * v
    seen = np.stack([x * 95 + 51, y * 96 + 40], -1)
    assert np.abs(seen - pixels())[known].max() < 1e-3
    plain = camera_rays(SIZE, INTRINSICS, dict(model='unified'))                        # xi = 0: a pinhole
    np.testing.assert_allclose(plain, camera_rays(SIZE, INTRINSICS), atol=1e-6)


@pytest.mark.parametrize('lens, message', [
    (dict(model='omni'), "must be 'fisheye' or 'unified', got 'omni'"), (dict(k1=1), 'got None'),
    (dict(model='fisheye', p1=1), 'a fisheye lens has k1, k2, k3, k4; got p1')])
def test_unknown_lenses_are_answered(lens, message):
    with pytest.raises(ValueError, match=message):
        camera_rays(SIZE, INTRINSICS, lens)
