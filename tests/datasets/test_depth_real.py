"""Real depth samples through the data sets' own paths: size, range, share of known pixels, and along what depth is measured."""
import json

import numpy as np
import pytest

import mmxf  # noqa: F401
from mmxf.registry import DATASETS, TRANSFORMS
from mmxf.structures.lenses import camera_rays
from mmxf.structures.sphere import panorama_directions
from mmxf.visualization.depth import point_cloud

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='mmxf.LoadDepth'), dict(type='mmxf.LimitDepth'),
            dict(type='mmxf.PackDepthInputs')]
# name of the sample -> class, image, (H, W), share of known pixels, median and largest depth in metres
SAMPLES = {'nyu': ('NYUv2Depth', 'jpg', (480, 640), 0.748, 2.188, 4.047),
           'kitti': ('KITTIDepth', 'png', (375, 1242), 0.094, 11.1, 80),
           'kitti360': ('KITTI360Depth', 'png', (1400, 1400), 0.0259, 7.64, 79.9),
           'scannetpp': ('ScanNetPPDepth', 'jpg', (1168, 1752), 0.924, 1.836, 5.26)}


def camera(folder, name: str) -> dict:
    """intrinsics, and lens where there is one, of a sample's description."""
    found = json.loads((folder / f'{name}_sample.json').read_text())['cam_params']
    intrinsics = (found.get('fx', found.get('fl_x')), found.get('fy', found.get('fl_y')), found['cx'], found['cy'])
    model = {'PINHOLE': None, 'MEI': 'unified', 'OPENCV_FISHEYE': 'fisheye'}[found['camera_model']]
    if model is None:
        return dict(intrinsics=intrinsics)
    factors = {key: found[key] for key in ('xi', 'k1', 'k2', 'k3', 'k4', 'p1', 'p2') if key in found}
    return dict(intrinsics=intrinsics, lens=dict(model=model, **factors))


def read(folder, tmp_path, kind: str, image: str, depth: str, **kwargs):
    """The one sample of a split file; ``along_ray`` beside it."""
    (tmp_path / 'split.txt').write_text(f'{image} {depth}\n')
    dataset = DATASETS.build(dict(type=f'mmxf.{kind}', data_root=str(folder), ann_file=str(tmp_path / 'split.txt'),
                                  pipeline=PIPELINE, **kwargs))
    return dataset[0]


def plane_share(points: np.ndarray, tolerance: float) -> float:
    """How many of the points lie on the plane on which most lie; rooms and roads have large ones."""
    rng = np.random.default_rng(0)
    points = points[rng.choice(len(points), min(6000, len(points)), False)]
    best = 0.0
    for _ in range(300):
        a, b, c = points[rng.choice(len(points), 3, False)]
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal)
        if length > 1e-9:
            best = max(best, float((np.abs((points - a) @ (normal / length)) < tolerance).mean()))
    return best


def camera_height(depth: np.ndarray) -> np.ndarray:
    """(H, W) how far below the camera a panorama's points lie, metres."""
    return depth * panorama_directions(depth.shape).numpy()[..., 1]


@pytest.mark.parametrize('name', sorted(SAMPLES))
def test_perspective_and_fisheye_samples(real_data, tmp_path, name):
    kind, ending, size, share, median, largest = SAMPLES[name]
    folder = real_data / 'depth_samples'
    seen = camera(folder, name)
    sample = read(folder, tmp_path, kind, f'{name}_rgb.{ending}', f'{name}_depth.png', **seen)
    depth = sample['data_samples'].gt_depth.data[0].numpy()
    assert sample['inputs'].shape == (3, *size) and depth.shape == size
    known = depth > 0
    assert known.mean() == pytest.approx(share, rel=0.01)
    assert np.median(depth[known]) == pytest.approx(median, rel=0.01) and depth.max() == pytest.approx(largest, rel=0.01)
    rays = camera_rays(size, **seen)
    assert np.isfinite(rays[known]).all(), 'depth only where the camera sees something'
    sample = sample['data_samples']
    assert sample.along_ray == (name == 'kitti360')
    # Depth along the ray is the same surface.
    results = TRANSFORMS.build(dict(type='mmxf.DepthAlongRay'))(dict(
        img=np.empty((*size, 3), np.uint8), gt_depth=depth, along_ray=sample.along_ray, **seen))
    points, _ = point_cloud(results['gt_depth'], along_ray=True, **seen)
    assert len(points) == known.sum()
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), results['gt_depth'][known], rtol=1e-5)
    if 'lens' in seen:      # Wide angles show what the numbers mean: read the other way, streets and walls would be bent.
        tolerance = 0.05 if name == 'kitti360' else 0.01
        other, _ = point_cloud(depth, along_ray=not sample.along_ray, **seen)
        flat = [plane_share(p, tolerance) for p in (points, other)]
        assert flat[0] > 0.2 and flat[0] > 2 * flat[1], flat


def test_a_real_panorama(real_data, tmp_path):
    stem = 'depth360_sample/matterport3d_'
    sample = read(real_data, tmp_path, 'Matterport3D', f'{stem}rgb.png', f'{stem}depth_mm_u16.png', depth_scale=1000)
    depth = sample['data_samples'].gt_depth.data[0].numpy()
    assert sample['inputs'].shape == (3, 512, 1024) and depth.shape == (512, 1024)
    assert depth.max() <= 10 and 0.97 < (depth > 0).mean() < 1, 'the data set counts up to 10 m; this room is 11.3 m long'
    assert depth[depth > 0].min() == pytest.approx(1.172, abs=0.01) and sample['data_samples'].along_ray
    # What lies steeply below and above the camera is floor and ceiling, 1.3 m and 1.75 m away whatever the angle.
    height = camera_height(depth)
    for rows, metres in ((slice(400, None), 1.3), (slice(0, 112), -1.75)):
        assert (np.abs(height[rows] - metres) < 0.03).mean() > 0.5


def test_every_frame_of_a_sequence_and_that_two_agree(real_data, tmp_path):
    folder = real_data / 'sevenscenes'
    names = sorted(path.name[:12] for path in folder.glob('frame-*.color.jpg'))
    assert len(names) == 50
    (tmp_path / 'split.txt').write_text(''.join(f'{n}.color.jpg {n}.depth.png\n' for n in names))
    matrix = np.loadtxt(folder / 'camera-intrinsics.txt')
    intrinsics = tuple(matrix[[0, 1, 0, 1], [0, 1, 2, 2]])
    dataset = DATASETS.build(dict(type='mmxf.NYUv2Depth', data_root=str(folder), ann_file=str(tmp_path / 'split.txt'),
                                  intrinsics=intrinsics, pipeline=PIPELINE))
    maps = []
    for index in range(50):
        sample = dataset[index]
        maps.append(sample['data_samples'].gt_depth.data[0].numpy())
        known = maps[-1][maps[-1] > 0]
        assert maps[-1].shape == (480, 640) == tuple(sample['inputs'].shape[1:])
        assert known.size > 0.5 * 480 * 640 and 0.3 < known.min() and known.max() < 6, names[index]
    # The first frame's points, seen from the third: millimetres, the camera and its poses fit one another.
    first, third = (np.loadtxt(folder / f'{names[i]}.pose.txt') for i in (0, 2))
    points, _ = point_cloud(maps[0], intrinsics=intrinsics)
    there = np.linalg.inv(third) @ first @ np.c_[points, np.ones(len(points))].T
    x, y = (there[i] / there[2] * intrinsics[i] + intrinsics[i + 2] for i in (0, 1))
    inside = (there[2] > 0) & (x > 0) & (x < 639) & (y > 0) & (y < 479)
    found = maps[2][np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)]
    error = np.abs(found / there[2][inside] - 1)[found > 0]
    assert inside.mean() > 0.3 and np.median(error) < 0.03, (inside.mean(), np.median(error))
