"""What stands in exported files of any size against the functions that the models call."""
import pytest
import torch
import torch.nn.functional as F

from mmxf.apis.export.sizes import AnySize, adaptive_mean, resize


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, *size, generator=generator) for size in ((7, 5), (8, 8), (64, 17))]


def test_adaptive_pooling(images):
    for x in images:
        for bins in (1, 2, 3, 6, (2, None), (5, 9)):
            torch.testing.assert_close(adaptive_mean(x, bins), F.adaptive_avg_pool2d(x, bins))


def test_antialiased_bicubic(images):
    for x in images:
        for size in ((4, 9), tuple(x.shape[-2:]), (29, 2), (70, 70)):
            kind = dict(size=size, mode='bicubic', antialias=True, align_corners=False)
            torch.testing.assert_close(resize(x, **kind), F.interpolate(x, **kind), rtol=1e-5, atol=1e-5)


def test_other_kinds_of_resizing_pass(images):
    """In the mode, what it has no form for is torch's own, and what it has a form for is not."""
    x = images[0]
    kinds = [dict(size=(9, 9), mode='bilinear'), dict(scale_factor=2, mode='bicubic'), dict(size=3, mode='nearest')]
    with AnySize():
        found = [F.interpolate(x, **kind) for kind in kinds]
        with torch.profiler.profile() as profile:
            F.adaptive_avg_pool2d(x, 3)
    assert all(torch.equal(a, F.interpolate(x, **kind)) for a, kind in zip(found, kinds))
    assert not any('adaptive' in event.name for event in profile.events())


@pytest.mark.parametrize('height, width', [(8, 8), (7, 20), (16, 9), (3, 4)])
def test_windows_by_indices(height, width):
    from mmxf.models.kat.attention import _any_windows, _merge_any_windows, windows

    x = torch.arange(2. * height * width * 5).view(2, height, width, 5)
    parts = _any_windows(x, 8)
    each = parts.unflatten(0, (2, -1))
    assert torch.equal(each[:, :-1].flatten(0, 1), windows(x, 8)) and not each[:, -1].any()
    assert torch.equal(_merge_any_windows(parts, 8, height, width), x)
