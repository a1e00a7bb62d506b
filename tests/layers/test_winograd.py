"""Winograd's convolution against the direct one in float64."""
import pytest
import torch
from torch import nn

from mmxf.layers import winograd
from mmxf.layers.folding import _has_fused_ops, conv_norm

pytestmark = pytest.mark.skipif(not _has_fused_ops(), reason='this torch has no oneDNN')


@pytest.mark.parametrize('size', [(1, 1), (4, 8), (7, 5), (41, 41)])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_against_the_direct_convolution(size, layout):
    torch.manual_seed(0)
    conv = nn.Conv2d(128, 160, 3, padding=1)
    x = torch.randn(2, 128, *size).contiguous(memory_format=layout)
    expected = conv.double()(x.double())
    packed = winograd.pack(conv.weight.detach().float(), winograd.count_tiles(x))
    with torch.no_grad():
        out = winograd.winograd(x, packed, conv.bias.float())
    assert (out - expected).abs().max() < 3e-5 * expected.abs().max()


@pytest.mark.parametrize('activation', ['none', 'relu', 'gelu'])
def test_with_norm_sum_and_activation(activation):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(128, 128, 3, padding=1, bias=False), nn.BatchNorm2d(128).eval()
    nn.init.uniform_(norm.running_var, 0.5, 2)
    assert winograd.pays(conv)
    x, add = (torch.randn(1, 128, 9, 6).contiguous(memory_format=torch.channels_last) for _ in range(2))
    with torch.no_grad():
        out = conv_norm(conv, norm, x, activation, add)
    expected = norm(conv(x)) + add
    expected = {'none': lambda t: t, 'relu': torch.relu, 'gelu': nn.functional.gelu}[activation](expected)
    assert (out - expected).abs().max() < 3e-5 * expected.abs().max()
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('change', [dict(stride=2), dict(padding=0), dict(dilation=2), dict(groups=2), dict(kernel_size=5)])
def test_other_convolutions_stay_direct(change):
    conv = nn.Conv2d(**{**dict(in_channels=128, out_channels=128, kernel_size=3, padding=1), **change})
    assert not winograd.pays(conv)
