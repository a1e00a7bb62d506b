"""Folded and fused convolutions against the plain ones."""
import pytest
import torch
from torch import nn

from mmxf.layers.conv_norm import ConvNorm
from mmxf.layers.folding import conv_norm, conv_norm_pair


def random_norm(norm: nn.Module) -> nn.Module:
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.2, 1.5)
    return norm.eval()


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('activation', ['none', 'relu', 'gelu'])
@pytest.mark.parametrize('into', [False, True])
def test_sum_and_activation(layout, activation, into):
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(5, 7, 3, padding=1), random_norm(nn.BatchNorm2d(7))
    x, add = (torch.randn(2, c, 9, 6).contiguous(memory_format=layout) for c in (5, 7))
    expected = norm(conv(x)) + add
    expected = {'none': lambda t: t, 'relu': torch.relu, 'gelu': nn.functional.gelu}[activation](expected)
    kept = add.clone()
    with torch.no_grad():
        out = conv_norm(conv, norm, x, activation, add, into)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert into or torch.equal(add, kept)


@pytest.mark.parametrize('activation', ['none', 'gelu'])
def test_sequences(activation):
    torch.manual_seed(0)
    conv, norm = nn.Conv1d(5, 7, 1), random_norm(nn.BatchNorm1d(7))
    x, add = torch.randn(2, 5, 11), torch.randn(2, 7, 11)
    expected = norm(conv(x))
    for plus in (None, add):
        with torch.no_grad():
            out = conv_norm(conv, norm, x, activation, plus)
        wanted = expected if plus is None else expected + plus
        torch.testing.assert_close(out, nn.functional.gelu(wanted) if activation == 'gelu' else wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('activation', ['none', 'relu'])
def test_two_convolutions_as_one(stride, activation):
    torch.manual_seed(0)
    conv, other = nn.Conv2d(5, 8, 1), nn.Conv2d(6, 8, 1, stride=stride, bias=False)
    norm, other_norm = (random_norm(nn.BatchNorm2d(8)) for _ in range(2))
    x, y = torch.randn(2, 5, 7, 4), torch.randn(2, 6, 7 * stride - stride + 1, 4 * stride)
    expected = norm(conv(x)) + other_norm(other(y))
    expected = expected.relu() if activation == 'relu' else expected
    torch.testing.assert_close(conv_norm_pair((conv, norm), x, (other, other_norm), y, activation), expected)
    with torch.no_grad():
        out = conv_norm_pair((conv, norm), x, (other, other_norm), y, activation)
        torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
        other.weight.mul_(2)
        changed = conv_norm_pair((conv, norm), x, (other, other_norm), y, activation)
    assert not torch.allclose(changed, out)


def test_weights_that_change_are_folded_anew():
    part = ConvNorm(3, 4, gelu=True).eval()
    random_norm(part.norm)
    x = torch.randn(1, 3, 5, 5)
    with torch.no_grad():
        first = part(x)
        part.conv.weight.mul_(2)
        second = part(x)
    torch.testing.assert_close(second, part(x).detach(), rtol=1e-5, atol=1e-5)
    assert not torch.allclose(first, second)
