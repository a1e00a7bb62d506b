"""The depthwise convolution against nn.Conv2d in float64."""
import pytest
import torch

from mmxf.layers import depthwise
from mmxf.layers.depthwise import DepthwiseConv2d, _DepthwiseConv


@pytest.mark.parametrize('size', [(9, 70), (1, 64), (35, 65)])
@pytest.mark.parametrize('kernel', [3, 5])
@pytest.mark.parametrize('numba', [True, False])
def test_gradients(size, kernel, numba, monkeypatch):
    if numba:
        pytest.importorskip('numba', reason='numba is optional; the other case is what runs without')
        assert depthwise._weight_gradient_function() is not depthwise._weight_gradient
    else:
        monkeypatch.setattr(depthwise, '_weight_gradient_function', lambda: depthwise._weight_gradient)
    torch.manual_seed(0)
    conv = DepthwiseConv2d(6, kernel)
    reference = torch.nn.Conv2d(6, 6, kernel, padding=kernel // 2, groups=6).double()
    reference.load_state_dict({name: value.double() for name, value in conv.state_dict().items()})
    x = torch.randn(2, 6, *size).contiguous(memory_format=torch.channels_last).requires_grad_()
    grad = torch.randn(2, 6, *size)
    used = []
    apply = _DepthwiseConv.apply
    monkeypatch.setattr(_DepthwiseConv, 'apply', lambda *args: used.append(1) or apply(*args))
    out = conv(x)
    assert used
    exact = x.detach().double().requires_grad_()
    expected = reference(exact)
    out.backward(grad)
    expected.backward(grad.double())
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    for a, b in ((x, exact), (conv.weight, reference.weight), (conv.bias, reference.bias)):
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-5, atol=1e-6 * b.grad.abs().max().item())


def test_only_where_it_helps():
    conv = DepthwiseConv2d(4, 5, bias=False)
    x = torch.randn(1, 4, 8, 64)
    assert not conv._is_slow(x, conv.weight)
    last = x.contiguous(memory_format=torch.channels_last)
    assert conv._is_slow(last, conv.weight)
    assert not conv._is_slow(last.double(), conv.weight)
    assert not conv._is_slow(last[..., :63], conv.weight)
    with torch.no_grad():
        assert not conv._is_slow(last, conv.weight)
    with torch.autocast('cpu', torch.bfloat16):
        assert not conv._is_slow(last, conv.weight)
        conv(last)
