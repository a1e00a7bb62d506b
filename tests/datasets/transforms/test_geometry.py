"""Resizing, cropping, padding: rounding and offsets by hand, pixel rules against Pillow."""

import numpy as np
import pytest
from PIL import Image

from mmxf.datasets.transforms import LargeScaleJitter, PadToSize, ResizeToFit
from mmxf.datasets.transforms.geometry import fitted_size, scaled_size
from mmxf.datasets.transforms.pixels import contiguous, nearest_labels, resize_image


@pytest.mark.parametrize(
    'old, target, factor, new',
    [
        ((480, 640), (1281, 1281), 1.0, (961, 1281)),  # 960.75
        ((480, 640), (1281, 1281), 2.0, (1922, 2562)),  # 1921.5 -> even
        ((640, 480), (1281, 1281), 0.2, (256, 192)),  # 256.2, 192.15
        ((1024, 2048), (1025, 2049), 1.0, (1024, 2049)),  # 1024.5 -> even
        ((1024, 2048), (1025, 2049), 0.5, (512, 1024)),  # 512.25, 1024.5 -> even
        ((10, 1000), (100, 100), 0.1, (1, 10)),  # 0.1 -> at least 1
    ],
)
def test_scaled_size(old, target, factor, new):
    assert scaled_size(old, target, factor) == new


@pytest.mark.parametrize(
    'old, box, new',
    [
        ((480, 640), (1281, 1281), (961, 1281)),
        ((427, 640), (641, 641), (428, 641)),  # 427.67
        ((640, 427), (641, 641), (641, 428)),
        ((1024, 2048), (1025, 2049), (1025, 2049)),  # 1024.5 -> up
        ((500, 500), (1281, 1281), (1281, 1281)),
        ((2048, 1024), (1025, 2049), (1025, 513)),  # upright in a lying box: 512.5 -> up
        ((3000, 10), (100, 100), (100, 1)),
    ],
)
def test_fitted_size(old, box, new):
    assert fitted_size(old, box) == new


def test_fitted_size_never_exceeds_the_box():
    rng = np.random.RandomState(0)
    for h, w in rng.randint(20, 3000, (500, 2)):
        for box in ((1281, 1281), (1025, 2049), (129, 65)):
            new = fitted_size((h, w), box)
            assert new[0] <= box[0] and new[1] <= box[1] and (new[0] == box[0] or new[1] == box[1])


@pytest.mark.parametrize('size', [(7, 5), (23, 31), (61, 100), (20, 30)])
def test_labels_are_resized_by_pillows_rule(size):
    labels = np.random.RandomState(0).randint(0, 9, (20, 30)).astype(np.int32)
    expected = np.asarray(Image.fromarray(labels.astype(np.uint8)).resize(size[::-1], Image.NEAREST))
    assert (nearest_labels(labels, size, (0, 0, *size)) == expected).all()
    top, left, h, w = 2, 1, size[0] - 3, size[1] - 2
    assert (nearest_labels(labels, size, (top, left, h, w)) == expected[top : top + h, left : left + w]).all()


@pytest.mark.parametrize('size', [(12, 9), (61, 100), (20, 95)])
def test_images_are_resized_by_pillows_rule(size):
    img = np.random.RandomState(0).randint(0, 256, (20, 30, 3)).astype(np.uint8)
    expected = np.asarray(Image.fromarray(img).resize(size[::-1], Image.BILINEAR)).astype(int)
    assert (resize_image(img, size, exact=True) == expected).all()
    assert abs(resize_image(img, size) - expected).max() <= 1


def test_edges_of_image_and_labels_fall_on_the_same_pixel():
    labels = np.repeat(np.arange(2), [5, 4])[None].repeat(4, 0).astype(np.int32)
    img = (labels[..., None] * 255).astype(np.uint8).repeat(3, 2)
    size = (29, 67)
    assert ((resize_image(img, size)[..., 0] > 127) == nearest_labels(labels, size, (0, 0, *size))).all()


def fix_random(monkeypatch, factor: float, offsets: list[int]) -> list[int]:
    """Make numpy draw this scale and these offsets; returns the list of the bounds that were asked for."""
    bounds = []
    monkeypatch.setattr(np.random, 'uniform', lambda low, high: factor)
    monkeypatch.setattr(np.random, 'randint', lambda n: bounds.append(n) or offsets[len(bounds) - 1])
    return bounds


def test_large_scale_jitter_crops_where_it_says(monkeypatch):
    # 4x6 at twice 8x8: scale min(16/4, 16/6) -> 10.67x16 -> 11x16; window 8x8 at one of 4x9 places.
    ids = np.arange(24, dtype=np.int32).reshape(4, 6)
    img = np.random.RandomState(0).randint(0, 255, (4, 6, 3)).astype(np.uint8)
    bounds = fix_random(monkeypatch, 2.0, [3, 5])
    out = LargeScaleJitter((8, 8), (0.2, 2.0)).transform({'img': img, 'gt_seg_map': ids})
    assert bounds == [4, 9]
    assert (out['img'] == resize_image(img, (11, 16))[3:11, 5:13]).all()
    rows, cols = (
        [1, 1, 2, 2, 2, 3, 3, 3],
        [2, 2, 2, 3, 3, 3, 4, 4],
    )  # floor((3..10 + .5) * 4/11), (5..12 + .5) * 6/16
    assert (out['gt_seg_map'] == ids[np.ix_(rows, cols)]).all()
    assert out['img_shape'] == (8, 8) and out['scale_factor'] == (16 / 6, 11 / 4)


def test_large_scale_jitter_keeps_small_images_whole(monkeypatch):
    bounds = fix_random(monkeypatch, 0.5, [0, 0])
    out = LargeScaleJitter((8, 8), (0.2, 2.0)).transform({'img': np.zeros((4, 6, 3), np.uint8)})
    assert out['img'].shape == (3, 4, 3) and bounds == [1, 1]  # 2.67 x 4


def test_large_scale_jitter_reaches_every_scale_and_corner():
    np.random.seed(0)
    jitter = LargeScaleJitter((16, 16), (0.5, 2.0))
    ids = np.arange(1, 257, dtype=np.int32).reshape(16, 16)
    out = [jitter.transform({'img': np.zeros((16, 16, 3), np.uint8), 'gt_seg_map': ids}) for _ in range(300)]
    widths = {o['img_shape'][1] for o in out}
    assert min(widths) in (8, 9) and max(widths) == 16
    assert max(o['scale_factor'][0] for o in out) > 1.9
    for corner in (1, 16, 241, 256):
        assert any((o['gt_seg_map'] == corner).any() and o['scale_factor'][0] > 1.05 for o in out)


def test_pad_at_right_and_bottom():
    img = np.full((2, 3, 3), 7, np.uint8)
    out = PadToSize((4, 5)).transform({'img': img[:, ::-1], 'gt_seg_map': np.ones((2, 3), np.int32)})
    assert out['img'].shape == (4, 5, 3) and (out['img'][:2, :3] == 7).all() and out['img'].sum() == 7 * 18
    real = np.zeros((4, 5), bool)
    real[:2, :3] = True
    assert (out['real_pixel_mask'] == real).all() and (out['gt_seg_map'] == real).all()
    assert out['gt_seg_map'].dtype == np.int32 and out['img_shape'] == (4, 5)
    assert 'real_pixel_mask' not in PadToSize((2, 3)).transform({'img': img})
    with pytest.raises(ValueError, match='x.jpg is 2x3 .*larger than size=\\(1, 9\\)'):
        PadToSize((1, 9)).transform({'img': img, 'img_path': 'x.jpg'})


def test_resize_to_fit():
    out = ResizeToFit((10, 10)).transform(
        {'img': np.zeros((4, 6, 3), np.uint8), 'gt_seg_map': np.zeros((4, 6))}
    )
    assert out['img'].shape == (7, 10, 3) and out['img_shape'] == (7, 10)
    assert out['gt_seg_map'].shape == (4, 6) and out['scale_factor'] == (10 / 6, 7 / 4)


@pytest.mark.parametrize('kind', [LargeScaleJitter, PadToSize, ResizeToFit])
def test_bad_input(kind):
    for size in (640, (640,), (640, 0), (1.5, 3), 'ab'):
        with pytest.raises(ValueError, match='a size is'):
            kind(size)
    with pytest.raises(NotImplementedError, match='gt_bboxes'):
        kind((9, 9)).transform({'img': np.zeros((2, 2, 3), np.uint8), 'gt_bboxes': [1]})
    with pytest.raises(ValueError, match='scale_range'):
        LargeScaleJitter((9, 9), (2.0, 0.2))


def test_contiguous_of_a_mirrored_view():
    img = np.random.RandomState(0).randint(0, 255, (5, 7, 3)).astype(np.uint8)
    for view in (img[:, ::-1], img[::-1], img[1:, 2:5], img[..., 0], img[..., 0][:, ::-1]):
        assert (contiguous(view) == view).all() and contiguous(view).flags.c_contiguous
