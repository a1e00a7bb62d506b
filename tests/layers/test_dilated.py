"""The dilated convolution's own gradients against torch's."""
import pytest
import torch
from torch import nn

from mmxf.layers.conv_norm import ConvNorm
from mmxf.layers.dilated import DilatedConv2d


@pytest.mark.parametrize('dilation', [2, 5, 20])
@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('kernel', [3, 5])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_gradients(dilation, bias, kernel, layout):
    torch.manual_seed(0)
    ours = DilatedConv2d(3, 4, kernel, dilation, bias).double()
    plain = nn.Conv2d(3, 4, kernel, padding=dilation * (kernel // 2), dilation=dilation, bias=bias).double()
    plain.load_state_dict(ours.state_dict())
    x, grad = torch.randn(2, 3, 9, 12).double().contiguous(memory_format=layout), torch.randn(2, 4, 9, 12).double()
    results = []
    for conv in (ours, plain):
        leaf = x.clone().requires_grad_()
        out = conv(leaf)
        results.append([out, *torch.autograd.grad(out, [leaf, *conv.parameters()], grad)])
    for got, expected in zip(*results):
        torch.testing.assert_close(got, expected)


def test_it_is_the_one_that_conv_norm_takes():
    assert isinstance(ConvNorm(3, 4, 3, dilation=6).conv, DilatedConv2d)
    assert type(ConvNorm(3, 4, 3).conv) is nn.Conv2d
