"""Pictures of depth and point clouds."""
import numpy as np
import pytest

from mmxf.visualization.depth import (
    UNKNOWN,
    bar_ticks,
    depth_colors,
    depth_range,
    depth_sheet,
    draw_depth,
    draw_error,
    point_cloud,
    write_ply,
)


def ramp(height=40, width=80):
    return np.repeat(np.linspace(1.0, 5.0, width)[None], height, 0)


def test_near_is_red_far_is_blue_and_unknown_is_grey():
    depth = ramp()
    depth[:5], depth[5:8] = 0, np.inf
    picture = depth_colors(depth, 1.0, 5.0)
    assert (picture[:8] == UNKNOWN).all()
    near, far = picture[20, 2].astype(int), picture[20, -3].astype(int)
    assert near[0] > near[2] + 60 and far[2] > far[0]
    assert depth_range(depth) == pytest.approx((1.04, 4.96), abs=0.05)
    assert depth_range(np.zeros((3, 3))) == (0.0, 1.0)


def test_the_bar_tells_metres():
    picture = draw_depth(ramp(200, 300))
    assert picture.shape[0] == 200 and picture.shape[1] > 330
    assert bar_ticks(1.04, 4.96) == [1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5] or 4 <= len(bar_ticks(1.04, 4.96)) <= 8
    for low, high in ((0.1, 8), (3, 3.2), (0, 30), (0, 80), (0.5, 0.52)):
        ticks = bar_ticks(low, high)
        assert 3 <= len(ticks) <= 10 and low - 1e-6 <= ticks[0] and ticks[-1] <= high + 1e-6


def test_errors_are_relative():
    target = ramp()
    target[0] = 0
    picture = draw_error(target * 1.3, target, limit=0.3)[:, :80]
    assert (picture[0] == UNKNOWN).all() and (picture[1:] == picture[1, 0]).all()
    assert not (draw_error(target, target)[1, 0] == picture[1, 0]).all()
    with pytest.raises(ValueError, match='true depth'):
        draw_error(target, target[1:])
    sheet = depth_sheet(np.zeros((40, 80, 3), np.uint8), target, target, 'name')
    assert sheet.dtype == np.uint8 and sheet.shape[1] > 4 * 80


def test_a_panorama_of_one_depth_is_a_ball():
    depth = np.full((32, 64), 3.0)
    depth[0, 0] = 0
    image = np.zeros((32, 64, 3), np.uint8)
    image[:16] = 200
    points, colors = point_cloud(depth, image)
    assert points.shape == (32 * 64 - 1, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 3, rtol=1e-5)
    assert (points[colors[:, 0] == 200, 1] < 0).all()       # the upper half lies above: y points down


def test_a_perspective_wall_is_flat():
    points, _ = point_cloud(np.full((6, 8), 2.0), intrinsics=(4, 4, 4, 3))
    assert (points[:, 2] == 2).all()
    np.testing.assert_allclose(points[0], [-2, -1.5, 2])


def test_ply_has_what_its_head_says(tmp_path):
    points, colors = np.array([[1, 2, 3], [4, 5, 6]], float), np.array([[255, 0, 7], [1, 2, 3]], np.uint8)
    head, _, body = write_ply(tmp_path / 'a/cloud.ply', points, colors).read_bytes().partition(b'end_header\n')
    assert head.startswith(b'ply\nformat binary_little_endian 1.0\nelement vertex 2\n')
    assert len(body) == 2 * 15
    assert np.frombuffer(body[:12], '<f4').tolist() == [1, 2, 3] and list(body[12:15]) == [255, 0, 7]
