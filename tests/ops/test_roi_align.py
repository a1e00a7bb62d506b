"""roi_align against four nested loops, finite differences, and its options."""
import math

import pytest
import torch
from mmcv.ops import RoIAlign, roi_align

from mmxf.ops import roi_align as module

ROIS = torch.tensor([
    [0, 1.3, 2.1, 9.7, 8.8],
    [1, -6.0, -4.0, 5.0, 30.0],       # out of the map on three sides
    [0, 3.2, 3.3, 3.4, 3.9],          # less than a pixel
    [1, 40.0, 40.0, 60.0, 60.0],      # outside altogether
    [0, 0.0, 0.0, 14.0, 10.0],
    [1, 0.0, 0.0, 26.0, 18.0],
])


def sample(plane, y: float, x: float) -> float:
    height, width = plane.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    top, left = math.floor(y), math.floor(x)
    value = 0.0
    for row, by_row in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, by_column in ((left, 1 - (x - left)), (left + 1, x - left)):
            if by_row and by_column:
                value += by_row * by_column * plane[row, column].item()
    return value


def plain_roi_align(images, rois, size, scale, ratio, mode, aligned):
    out = torch.zeros(len(rois), images.shape[1], *size, dtype=torch.float64)
    shift = 0.5 if aligned else 0.0
    for r, (b, x1, y1, x2, y2) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (v * scale - shift for v in (x1, y1, x2, y2))
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1.0), max(width, 1.0)
        rows = ratio if ratio > 0 else math.ceil(height / size[0])
        columns = ratio if ratio > 0 else math.ceil(width / size[1])
        for c in range(images.shape[1]):
            for i in range(size[0]):
                for j in range(size[1]):
                    values = [sample(images[int(b), c], y1 + (i + (k + .5) / rows) * height / size[0],
                                     x1 + (j + (m + .5) / columns) * width / size[1])
                              for k in range(rows) for m in range(columns)]
                    if values:
                        out[r, c, i, j] = max(values) if mode == 'max' else sum(values) / len(values)
    return out


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 1, 3])
@pytest.mark.parametrize('size, scale', [((2, 3), 1.0), ((1, 1), 0.5)])
def test_forward(stand_in, device, mode, aligned, ratio, size, scale):
    images = torch.randn(2, 3, 9, 13, dtype=torch.float64)
    got = roi_align(images.float().to(device), ROIS.to(device), size, scale, ratio, mode, aligned)
    want = plain_roi_align(images.float(), ROIS, size, scale, ratio, mode, aligned)
    torch.testing.assert_close(got.cpu().double(), want, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_gradient(stand_in, device, mode, aligned, ratio):
    images = torch.randn(2, 1, 5, 7, dtype=torch.float64, device=device, requires_grad=True)
    rois = ROIS.double().to(device) * 0.5
    assert torch.autograd.gradcheck(lambda x: roi_align(x, rois, (2, 2), 1.0, ratio, mode, aligned), images)


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_in_parts(stand_in, monkeypatch, mode):
    """Results do not depend on how the work is cut."""
    images, rois = (
        torch.randn(2, 3, 9, 13),
        ROIS.repeat(5, 1) + torch.rand(30, 5) * torch.tensor([0, 1, 1, 3, 3.0]),
    )
    grad = torch.randn(30, 3, 2, 2)

    def run():
        x = images.clone().requires_grad_()
        y = roi_align(x, rois, (2, 2), 1.0, 0, mode, True)
        return y.detach(), torch.autograd.grad(y, x, grad)[0]

    whole = run()
    monkeypatch.setattr(module, 'TAPS', 100)
    monkeypatch.setattr(module, 'NUMBERS', 40)
    for a, b in zip(whole, run()):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_boxes_without_extent_give_zeros(stand_in, mode):
    images = torch.randn(1, 2, 5, 5, requires_grad=True)
    out = roi_align(
        images,
        torch.tensor([[0.0, 2.0, 2.0, 2.0, 2.0], [0.0, 3.0, 3.0, 1.0, 1.0]]),
        (2, 2),
        1.0,
        0,
        mode,
        True,
    )
    out.sum().backward()
    assert not out.any() and not images.grad.any()


@pytest.mark.parametrize('shape', [(0, 5), (3, 5)])
def test_empty(stand_in, device, shape):
    channels = 2 if shape[0] == 0 else 0
    images = torch.randn(1, channels, 5, 5, device=device, requires_grad=True)
    out = roi_align(images, torch.zeros(shape, device=device), (2, 3), 1.0, 0, 'avg', True)
    assert out.shape == (shape[0], channels, 2, 3)
    out.sum().backward()
    assert images.grad.shape == images.shape and not images.grad.any()


def test_half_precision_and_channels_last(stand_in, device):
    images = torch.randn(2, 3, 9, 13, device=device)
    rois = ROIS.to(device)
    want = RoIAlign((2, 2), 1.0)(images, rois)
    got = RoIAlign((2, 2), 1.0)(images.half(), rois.half().float())
    assert got.dtype == torch.float16
    torch.testing.assert_close(got.float(), want, atol=2e-2, rtol=2e-2)
    got = RoIAlign((2, 2), 1.0)(images.to(memory_format=torch.channels_last), rois)
    torch.testing.assert_close(got, want)


def test_one_plane_a_box(stand_in):
    """As mmdet crops ground-truth masks: as many images as boxes, one channel."""
    masks = (torch.rand(6, 1, 12, 16) > 0.5).float()
    rois = torch.cat([torch.arange(6.)[:, None], ROIS[[0, 2, 4, 0, 5, 4], 1:]], 1)
    got = roi_align(masks, rois, (4, 4), 1.0, 0, 'avg', True)
    torch.testing.assert_close(
        got.double(), plain_roi_align(masks, rois, (4, 4), 1.0, 0, 'avg', True), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('shape', [(1, 1), (1, 6), (5, 1)])
def test_maps_of_one_row_or_column(stand_in, mode, shape):
    images = torch.randn(2, 2, *shape, dtype=torch.float64, requires_grad=True)
    rois = ROIS.double() * 0.5
    for ratio in (0, 2):
        got = roi_align(images, rois, (2, 2), 1.0, ratio, mode, True)
        want = plain_roi_align(images.detach(), rois, (2, 2), 1.0, ratio, mode, True)
        torch.testing.assert_close(got, want)
    assert torch.autograd.gradcheck(lambda x: roi_align(x, rois, (2, 2), 1.0, 0, mode, True), images)


def test_boxes_far_larger_than_the_map(stand_in):
    """A diverging detector's boxes: work is bounded by the map, not by the box."""
    images = torch.randn(1, 3, 8, 9)
    rois = torch.tensor([[0., -20000., -30000., 40000., 30000.], [0., 2., 2., 50000., 5.]])
    out = roi_align(images, rois, (2, 2), 1.0, 0, 'avg', True)
    share = 8 * 9 / (30000 * 30000)   # of the map in a bin of the first box
    assert out.isfinite().all() and out[0].abs().max() < 10 * share * images.abs().max()
