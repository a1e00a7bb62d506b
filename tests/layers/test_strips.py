"""Strips cover a map once and bring along what kernels look at."""
import pytest
import torch
import torch.nn.functional as F

from mmxf.layers.strips import strips


@pytest.mark.parametrize('height', [1, 5, 64, 67])
@pytest.mark.parametrize('reach', [0, 2])
@pytest.mark.parametrize('elements', [1, 500, 10 ** 9])
def test_a_convolution_by_strips(height, reach, elements):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, height, 9), torch.randn(4, 3, 2 * reach + 1, 2 * reach + 1)
    out, seen = torch.full((2, 4, height, 9), torch.nan), 0
    for rows, source, inner in strips(x, reach, elements):
        out[:, :, rows] = F.conv2d(x[:, :, source], weight, padding=reach)[:, :, inner]
        seen += rows.stop - rows.start
    assert seen == height
    torch.testing.assert_close(out, F.conv2d(x, weight, padding=reach), rtol=1e-4, atol=1e-4)


def test_strips_are_about_as_large_as_asked():
    sizes = [strip.rows.stop - strip.rows.start for strip in strips(torch.empty(1, 4, 100, 10), elements=400)]
    assert max(sizes) == 10 and len(sizes) == 10
