"""Depth data: split files, scales, transforms, MiniWorld's panoramas, checks of trees."""
import os

import cv2
import numpy as np
import pytest
import torch

import mmxf  # noqa: F401
from mmxf.datasets.depth import read_split
from mmxf.datasets.miniworld.depth import DepthRequest, write_depth_panoramas
from mmxf.datasets.miniworld.writers import ExistingDataError
from mmxf.datasets.prepare.depth import SETS, preparer
from mmxf.datasets.transforms.depth import DepthFileError, read_depth, write_depth
from mmxf.registry import DATASETS, TRANSFORMS
from mmxf.structures.lenses import camera_rays

PIPELINE = [dict(type='LoadImageFromFile'), dict(type='mmxf.LoadDepth'), dict(type='mmxf.ResizeDepth', size=(16, 32)),
            dict(type='mmxf.LimitDepth'), dict(type='mmxf.PackDepthInputs')]


def tree(root, kind: str, lines: int = 3, units=None, size=(16, 32)):
    """A tiny data set in the layout of `kind`; its class."""
    cls, lists, _, _ = SETS[kind]
    units = cls.DEPTH_SCALE if units is None else units
    rng = np.random.default_rng(0)
    for split, (name, _) in lists.items():
        text = ''
        for i in range(lines):
            image, depth = f'/area_1/rgb/{split}_{i}.png', f'/area_1/depth/{split}_{i}.{"exr" if units is None else "png"}'
            for path in (image, depth):
                os.makedirs(os.path.dirname(str(root) + path), exist_ok=True)
            cv2.imwrite(str(root) + image, rng.integers(0, 255, (*size, 3), np.uint8))
            metres = np.full(size, 2.0 + i, np.float32)
            metres[0] = 0
            if units is None:
                os.environ.setdefault('OPENCV_IO_ENABLE_OPENEXR', '1')
                cv2.imwrite(str(root) + depth, np.repeat(metres[..., None], 3, 2))
            else:
                cv2.imwrite(str(root) + depth, np.rint(metres * units).astype(np.uint16))
            text += f'{image} {depth} 518.8579\n'
        (root / name).write_text(text)
    return cls


def build(kind: str, **kwargs):
    return DATASETS.build(dict(type=f'mmxf.{kind}', **kwargs))


@pytest.mark.parametrize('kind', sorted(SETS))
def test_official_layouts_are_read_in_metres(tmp_path, kind):
    cls = tree(tmp_path, kind)
    name = SETS[kind][1]['train'][0]
    dataset = build(cls.__name__, data_root=str(tmp_path), ann_file=name, pipeline=PIPELINE)
    assert len(dataset) == 3
    sample = dataset[2]
    assert sample['inputs'].shape == (3, 16, 32) and sample['inputs'].dtype == torch.uint8
    depth = sample['data_samples'].gt_depth.data
    assert depth.shape == (1, 16, 32) and (depth[0, 0] == 0).all()
    np.testing.assert_allclose(depth[0, 1:], 4.0, atol=0.002)
    assert sample['data_samples'].img_path.endswith('area_1/rgb/train_2.png')


@pytest.mark.parametrize('kind', sorted(SETS))
def test_prepare_checks_lists_files_and_range(tmp_path, kind):
    cls = tree(tmp_path, kind)
    report = preparer(kind)(tmp_path)
    assert not report.missing and any('100' in line or '94 %' in line for line in report.ready)
    (tmp_path / 'area_1/rgb/train_1.png').unlink()
    (tmp_path / SETS[kind][1]['val'][0]).unlink()
    missing = '\n'.join(preparer(kind)(tmp_path).missing)
    assert '1 of 3 images' in missing and 'train_1.png' in missing and SETS[kind][1]['val'][0] in missing
    if cls.DEPTH_SCALE:
        write_depth(tmp_path / 'area_1/depth/train_0.png', np.full((16, 32), 100.0), 655)
        assert 'own files?' in '\n'.join(preparer(kind)(tmp_path, ('train',)).missing) or kind in ('kitti-depth', 'nyuv2')


def test_split_files_with_odd_lines(tmp_path):
    path = tmp_path / 'split.txt'
    path.write_text('# comment\n\na.png b.png c\n/d.png None 7\n')
    assert read_split(path) == [('a.png', 'b.png')]
    path.write_text('a.png\n')
    with pytest.raises(ValueError, match=r"split\.txt, line 1: expected an image and a depth map, got 'a\.png'"):
        read_split(path)
    with pytest.raises(FileNotFoundError, match='mmxf prepare-data stanford2d3d'):
        build('Stanford2D3D', data_root=str(tmp_path), ann_file='no.txt', pipeline=[])


@pytest.mark.parametrize('pixels, scale, message', [
    (np.full((4, 8), 7, np.uint16), None, r'bad\.png holds whole numbers.*give depth_scale'),
    (np.full((4, 8), 7, np.uint8), 1000, r'bad\.png has 8 bits'),
    (np.zeros((4, 8), np.uint16), 1000, r'bad\.png knows no depth: all 32 pixels'),
    (np.full((4, 8, 3), 7, np.uint16), 1000, r'bad\.png has 3 channels')])
def test_depth_maps_that_cannot_be_used_are_named(tmp_path, pixels, scale, message):
    cv2.imwrite(str(tmp_path / 'bad.png'), pixels)
    with pytest.raises(DepthFileError, match=message):
        read_depth(tmp_path / 'bad.png', scale)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(DepthFileError, match=r'no\.png does not exist'):
        read_depth(tmp_path / 'no.png', 1000)
    (tmp_path / 'broken.png').write_bytes(b'\x89PNG broken')
    (tmp_path / 'empty.npy').write_bytes(b'')
    with pytest.raises(DepthFileError, match=r'empty\.npy is no \.npy file of numbers, or is cut off'):
        read_depth(tmp_path / 'empty.npy', None)
    with pytest.raises(DepthFileError, match=r'broken\.png cannot be decoded'):
        read_depth(tmp_path / 'broken.png', 1000)


def test_an_empty_mask_names_the_file_and_a_panorama_is_two_to_one(tmp_path):
    tree(tmp_path, 'stanford2d3d', units=65535 / 128 * 10)      # 20 to 40 m: nothing up to 8
    dataset = build('Stanford2D3D', data_root=str(tmp_path), ann_file='train_stanford2d3d.txt', pipeline=[], serialize_data=False)
    load, limit = TRANSFORMS.build(PIPELINE[1]), TRANSFORMS.build(PIPELINE[3])
    with pytest.raises(DepthFileError, match=r'train_0\.png has no depth between 0\.1 and 8\.0 m \(it has 20 to 20 m\)'):
        limit(load(dict(dataset.get_data_info(0))))
    cv2.imwrite(str(tmp_path / 'narrow.png'), np.full((16, 30), 500, np.uint16))
    with pytest.raises(DepthFileError, match=r'narrow\.png is 30 x 16; a panorama is twice as wide'):
        load(dict(depth_path=tmp_path / 'narrow.png', depth_scale=100, panorama=True))


def test_written_depth_comes_back(tmp_path):
    depth = np.array([[0.0, 1.2344, 65.0], [np.inf, -1.0, 70.0]])
    found = read_depth(write_depth(tmp_path / 'd.png', depth, 1000), 1000)
    np.testing.assert_allclose(found, [[0, 1.234, 65], [0, 0, 0]], atol=1e-6)


def test_image_and_depth_move_together():
    image = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)
    depth = image[..., 0].astype(np.float32) + 1
    np.random.seed(0)
    seen = set()
    for _ in range(30):
        results = dict(img=image.copy(), gt_depth=depth.copy(), intrinsics=(5.0, 5.0, 2.0, 2.0))
        results = TRANSFORMS.build(dict(type='mmxf.FlipWithDepth'))(results)
        results = TRANSFORMS.build(dict(type='mmxf.RollPanorama', steps=4))(results)
        np.testing.assert_array_equal(results['img'][..., 0] + 1, results['gt_depth'])
        assert results['shift'] in (0, 2, 4, 6)
        seen.add((results['flip'], results['shift']))
        assert results['intrinsics'][2] == (6.0 if results['flip'] else 2.0)
    assert len(seen) >= 6


def test_depth_along_the_axis_becomes_depth_along_the_ray():
    step = TRANSFORMS.build(dict(type='mmxf.DepthAlongRay'))
    image, depth = np.zeros((3, 5, 3), np.uint8), np.full((3, 5), 2.0, np.float32)
    depth[2, 4] = 0
    results = step(dict(img=image, gt_depth=depth, intrinsics=(1.0, 1.0, 2.0, 1.0), along_ray=False))
    np.testing.assert_allclose(results['gt_depth'][1], 2 * np.sqrt(1 + np.arange(-2, 3) ** 2), rtol=1e-6)
    assert results['gt_depth'][2, 4] == 0 and results['along_ray']
    assert step(results)['gt_depth'][1, 0] == results['gt_depth'][1, 0], 'twice changes nothing'
    with pytest.raises(ValueError, match=r'through which camera d\.png was seen; give the data set intrinsics'):
        step(dict(img=image, gt_depth=depth, depth_path='d.png'))


def test_a_mirrored_lens_sees_mirrored_rays():
    lens = dict(model='unified', xi=1.2, k1=0.02, k2=-0.01, p1=0.003, p2=0.004)
    size, intrinsics = (20, 31), (15.0, 14.0, 13.0, 9.0)
    results = dict(img=np.zeros((*size, 3), np.uint8), gt_depth=np.ones(size, np.float32), intrinsics=intrinsics, lens=lens)
    mirrored = TRANSFORMS.build(dict(type='mmxf.FlipWithDepth', prob=1.0))(dict(results))
    cx = 30 - 13.0      # whole coordinates are pixel centres
    rays = camera_rays(size, (15.0, 14.0, cx, 9.0), mirrored['lens'])
    np.testing.assert_allclose(rays[:, ::-1] * [-1, 1, 1], camera_rays(size, intrinsics, lens), atol=1e-6)
    assert lens['p2'] == 0.004, 'the data set keeps its own'


def test_resizing_averages_as_officially():
    depth = np.array([[2.0, 4.0, 0.0, 8.0], [2.0, 4.0, 8.0, 8.0]], np.float32)
    image = np.zeros((2, 4, 3), np.uint8)
    results = TRANSFORMS.build(dict(type='mmxf.ResizeDepth', size=(1, 2)))(dict(img=image, gt_depth=depth))
    np.testing.assert_allclose(results['gt_depth'], [[3.0, 6.0]])
    nearest = TRANSFORMS.build(dict(type='mmxf.ResizeDepth', size=(1, 2), depth='nearest'))(dict(img=image, gt_depth=depth))
    assert set(nearest['gt_depth'].ravel()) <= {2.0, 4.0, 8.0, 0.0}
    kept = TRANSFORMS.build(dict(type='mmxf.ResizeDepth', size=(1, 2), resize_depth=False))(dict(img=image, gt_depth=depth))
    assert kept['gt_depth'].shape == (2, 4) and kept['img'].shape == (1, 2, 3)


def test_miniworld_writes_panoramas_whose_depth_is_the_scenes(tmp_path):
    from mmxf.datasets.miniworld.render import render
    from mmxf.datasets.miniworld.scene import make_scene

    request = DepthRequest(2, 1, 64, 32)
    assert write_depth_panoramas(tmp_path, request)
    assert not write_depth_panoramas(tmp_path, request)
    with pytest.raises(ExistingDataError, match='another MiniWorld'):
        write_depth_panoramas(tmp_path, DepthRequest(1, 1, 64, 32))
    dataset = build('MiniWorldDepth', data_root=str(tmp_path), ann_file='train_miniworld.txt',
                    pipeline=[*PIPELINE[:2], *PIPELINE[3:]])
    assert len(dataset) == 2
    exact = render(make_scene((0, 0, 1), 64, 32, 'equirectangular', 'room')).depth
    known = (exact > 0.1) & (exact <= 8)
    found = dataset[1]['data_samples'].gt_depth.data[0].numpy()
    assert known.mean() > 0.5
    np.testing.assert_allclose(found[known], exact[known], atol=0.002)
    with pytest.raises(ValueError, match='twice as wide'):
        DepthRequest(1, 1, 64, 48)
