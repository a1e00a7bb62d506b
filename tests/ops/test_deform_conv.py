"""Both deformable convolutions against loops, finite differences and torch's ordinary convolution."""
import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d, deform_conv2d, modulated_deform_conv2d

from mmxf.ops import deform_columns

# in, out, kernel, stride, padding, dilation, groups, deform_groups, (B, H, W)
CASES = [
    (2, 3, (3, 3), 1, 1, 1, 1, 1, (1, 4, 5)),
    (4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 1, 2, (2, 5, 4)),
    (4, 4, (1, 1), 1, 0, 1, 2, 1, (2, 3, 3)),
    (4, 2, (2, 3), 1, 2, 2, 2, 2, (1, 4, 3)),
    (12, 6, (2, 2), 2, 1, 1, 3, 2, (2, 3, 3)),    # neither split divides the other
]


def make(case, dtype=torch.float64, device='cpu', spread=1.5):
    c, o, kernel, stride, padding, dilation, groups, deform_groups, (b, h, w) = case
    stride, padding, dilation = (v if isinstance(v, tuple) else (v, v) for v in (stride, padding, dilation))
    out = [(s + 2 * p - d * (k - 1) - 1) // t + 1
           for s, p, d, k, t in zip((h, w), padding, dilation, kernel, stride)]
    points = kernel[0] * kernel[1]
    kwargs = {'dtype': dtype, 'device': device}
    tensors = {
        'input': torch.randn(b, c, h, w, **kwargs),
        'offset': torch.randn(b, deform_groups * points * 2, *out, **kwargs) * spread,
        'mask': torch.rand(b, deform_groups * points, *out, **kwargs),
        'weight': torch.randn(o, c // groups, *kernel, **kwargs),
        'bias': torch.randn(o, **kwargs),
    }
    return tensors, (stride, padding, dilation, groups, deform_groups)


def sample(plane, y: float, x: float) -> float:
    height, width = plane.shape
    top, left = math.floor(y), math.floor(x)
    value = 0.0
    for row, column in product((top, top + 1), (left, left + 1)):
        if 0 <= row < height and 0 <= column < width:
            value += (1 - abs(y - row)) * (1 - abs(x - column)) * plane[row, column].item()
    return value


def plain(input, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups):
    (b, c), (o, per_group, kh, kw), (h, w) = input.shape[:2], weight.shape, offset.shape[2:]
    out = torch.zeros(b, o, h, w, dtype=torch.float64)
    for n, f, i, j in product(range(b), range(o), range(h), range(w)):
        total = bias[f].item() if bias is not None else 0.0
        for q, k, m in product(range(per_group), range(kh), range(kw)):
            channel = f // (o // groups) * per_group + q
            tap = channel // (c // deform_groups) * kh * kw + k * kw + m
            y = i * stride[0] - padding[0] + k * dilation[0] + offset[n, 2 * tap, i, j].item()
            x = j * stride[1] - padding[1] + m * dilation[1] + offset[n, 2 * tap + 1, i, j].item()
            value = sample(input[n, channel], y, x) * weight[f, q, k, m].item()
            total += value * (mask[n, tap, i, j].item() if mask is not None else 1)
        out[n, f, i, j] = total
    return out


def dcn_v1(t, args):
    return deform_conv2d(t['input'], t['offset'], t['weight'], *args)


def dcn_v2(t, args, bias=True):
    return modulated_deform_conv2d(
        t['input'], t['offset'], t['mask'], t['weight'], t['bias'] if bias else None, *args
    )


@pytest.mark.parametrize('case', CASES)
def test_forward(stand_in, device, case):
    t, args = make(case, device=device)
    host = {name: tensor.cpu() for name, tensor in t.items()}
    want = plain(host['input'], host['offset'], None, host['weight'], None, *args)
    torch.testing.assert_close(dcn_v1(t, args).cpu(), want)
    want = plain(host['input'], host['offset'], host['mask'], host['weight'], host['bias'], *args)
    torch.testing.assert_close(dcn_v2(t, args).cpu(), want)
    torch.testing.assert_close(dcn_v2(t, args, bias=False).cpu(), want - host['bias'].view(1, -1, 1, 1))


@pytest.mark.parametrize('case', CASES)
def test_gradient(stand_in, device, case):
    t, args = make(case, device=device)
    leaves = [tensor.requires_grad_() for tensor in t.values()]
    if case in CASES[::2]:
        x, o, _, w, _ = leaves
        assert torch.autograd.gradcheck(lambda x, o, w: deform_conv2d(x, o, w, *args), (x, o, w))
    assert torch.autograd.gradcheck(
        lambda x, o, m, w, b: modulated_deform_conv2d(x, o, m, w, b, *args), leaves
    )


@pytest.mark.parametrize('limit', [1, 60, 500, 3000])
@pytest.mark.parametrize('case', CASES[1::2])
def test_in_parts(stand_in, monkeypatch, case, limit):
    """Results do not depend on how the work is cut."""
    t, args = make(case)
    leaves = [t[name].requires_grad_() for name in ('input', 'offset', 'mask', 'weight')]
    out = dcn_v2(t, args)
    grad = torch.randn_like(out)
    whole = [out, *torch.autograd.grad(out, leaves, grad)]
    monkeypatch.setattr(deform_columns, 'COLUMN_NUMBERS', limit)
    out = dcn_v2(t, args)
    for a, b in zip(whole, [out, *torch.autograd.grad(out, leaves, grad)]):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize('groups, deform_groups', [(1, 1), (2, 2), (4, 1)])
def test_zero_offsets_are_an_ordinary_convolution(stand_in, groups, deform_groups):
    x = torch.randn(2, 8, 6, 7, requires_grad=True)
    layer = ModulatedDeformConv2d(8, 4, 3, stride=2, padding=1, groups=groups, deform_groups=deform_groups)
    offset = torch.zeros(2, deform_groups * 18, 3, 4, requires_grad=True)
    out = layer(x, offset, torch.ones(2, deform_groups * 9, 3, 4))
    want = F.conv2d(x, layer.weight, layer.bias, 2, 1, 1, groups)
    torch.testing.assert_close(out, want)
    got = torch.autograd.grad(out.square().sum(), [x, layer.weight, layer.bias, offset])
    for a, b in zip(got, torch.autograd.grad(want.square().sum(), [x, layer.weight, layer.bias])):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_points_on_the_rim_pass_no_gradient_to_offsets(stand_in):
    """A zero offset puts the padding's points at -1 and H, where mmcv defines the gradient as 0."""
    x = torch.ones(1, 1, 3, 3)
    offset = torch.zeros(1, 18, 3, 3, requires_grad=True)
    deform_conv2d(x, offset, torch.ones(1, 1, 3, 3), 1, 1).sum().backward()
    by_tap = offset.grad.view(3, 3, 2, 3, 3)
    assert not by_tap[0, :, :, 0].any() and not by_tap[2, :, :, 2].any() and not by_tap[:, 0, :, :, 0].any()


def test_offsets_far_out_and_not_finite(stand_in):
    t, args = make(CASES[0], dtype=torch.float32)
    t['offset'][:, :, 0] = 1e9
    t['offset'][:, :, 1] = math.inf
    t['offset'][:, :, 2] = math.nan
    x, offset = t['input'].requires_grad_(), t['offset'].requires_grad_()
    out = dcn_v1(t, args)
    out.sum().backward()
    assert not out[:, :, :3].any() and out[:, :, 3].any()
    assert x.grad.isfinite().all() and offset.grad.isfinite().all()


def test_empty_batch(stand_in, device):
    """mmcv's function refuses an empty batch by itself; the extension does not."""
    t, args = make((2, 3, (3, 3), 1, 1, 1, 1, 1, (0, 4, 5)), device=device)
    output, grad_weight = t['input'].new_empty(0, 3, 4, 5), torch.zeros_like(t['weight'])
    geometry = deform_columns.Geometry((3, 3), *args)
    deform_columns.convolve(t['input'], t['offset'], t['mask'], t['weight'], geometry, output)
    grads = [torch.zeros_like(t[name]) for name in ('input', 'offset', 'mask')]
    deform_columns.backward_data(t['input'], t['offset'], t['mask'], t['weight'], output, geometry, *grads)
    got = deform_columns.backward_weight(t['input'], t['offset'], t['mask'], t['weight'], output, geometry)
    assert torch.equal(got, grad_weight)


def test_layers(stand_in, device):
    """mmcv's layers, an input smaller than the kernel, several im2col steps, autocast."""
    layer = DeformConv2d(2, 3, 3, padding=1, im2col_step=2).to(device)
    x, offset = torch.randn(4, 2, 2, 5, device=device), torch.randn(4, 18, 2, 5, device=device)
    want = plain(x.cpu(), offset.cpu(), None, layer.weight.detach().cpu(), None, (1, 1), (1, 1), (1, 1), 1, 1)
    torch.testing.assert_close(layer(x, offset).double().cpu(), want, atol=1e-4, rtol=1e-4)
    with torch.autocast(device, dtype=torch.bfloat16):
        assert torch.equal(layer(x, offset), layer(x, offset).float())
        torch.testing.assert_close(layer(x, offset).double().cpu(), want, atol=1e-4, rtol=1e-4)


def test_wrong_shapes_are_named(stand_in):
    t, args = make(CASES[0])
    with pytest.raises(ValueError, match=r'offset must have shape \(1, 18, 4, 5\), got \(1, 16, 4, 5\)'):
        deform_conv2d(t['input'], t['offset'][:, :16], t['weight'], *args)
    with pytest.raises(ValueError, match='mask must have shape'):
        modulated_deform_conv2d(t['input'], t['offset'], t['mask'][:, :2], t['weight'], None, *args)
    with pytest.raises(ValueError, match='takes 3 input channels, the input has 2'):
        deform_conv2d(t['input'], t['offset'], torch.randn(3, 3, 3, 3).double(), *args)
