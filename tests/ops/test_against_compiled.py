"""The same call through mmcv's compiled extension and the stand-in. Skips where mmcv was not compiled."""
import sys
from itertools import product

import pytest
import torch
from mmcv.ops import (
    batched_nms,
    deform_conv2d,
    modulated_deform_conv2d,
    nms,
    roi_align,
    sigmoid_focal_loss,
    soft_nms,
)
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

pytestmark = pytest.mark.usefixtures('compiled')


@pytest.fixture
def both(monkeypatch, stand_in_module, op_modules):
    """``both(function, *args)``: outputs and gradients, by the compiled extension and by the stand-in."""

    def run(function, *args):
        leaves = [a for a in args if isinstance(a, torch.Tensor) and a.requires_grad]
        out = function(*args)
        out = out if isinstance(out, tuple) else (out,)
        if not leaves:
            return out
        torch.manual_seed(1)
        return *out, *torch.autograd.grad(out, leaves, [torch.randn_like(o) for o in out])

    def compare(function, *args):
        expected = run(function, *args)
        with monkeypatch.context() as patch:
            for module in op_modules:
                patch.setattr(module, 'ext_module', stand_in_module)
            return run(function, *args), expected

    return compare


def boxes_and_scores(n: int, device: str):
    corner = torch.rand(n, 2) * 200
    return torch.cat([corner, corner + torch.rand(n, 2) * 80], 1).to(device), torch.rand(n).to(device)


def test_mmxf_leaves_the_compiled_extension_alone():
    import mmcv._ext
    assert mmcv._ext.__file__.endswith(('.so', '.pyd'))
    assert sys.modules['mmcv.ops.nms'].ext_module is mmcv._ext


@pytest.mark.parametrize('n', [0, 1, 3, 333, 1500])
def test_nms(both, device, n):
    boxes, scores = boxes_and_scores(n, device)
    for threshold, offset in product((0.1, 0.5, 0.8), (0, 1)):
        got, want = both(nms, boxes, scores, threshold, offset)
        assert torch.equal(got[1], want[1]) and torch.equal(got[0], want[0])
    if n:
        got, want = both(batched_nms, boxes, scores, torch.randint(0, 5, (n,), device=device),
                         {'type': 'nms', 'iou_threshold': 0.5})
        assert torch.equal(got[1], want[1]) and torch.equal(got[0], want[0])


@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('n', [0, 1, 3, 333])
def test_soft_nms(both, device, n, method):
    boxes, scores = boxes_and_scores(n, device)
    scores = (scores * 20).round() / 20   # many ties: the order of equals is mmcv's too
    for min_score, offset in product((1e-3, 0.2), (0, 1)):
        got, want = both(soft_nms, boxes, scores, 0.3, 0.5, min_score, method, offset)
        assert torch.equal(got[1], want[1])
        torch.testing.assert_close(got[0], want[0])


@pytest.mark.parametrize('mode', ['avg', 'max'])
@pytest.mark.parametrize('size', [(1, 1), (7, 7), (2, 5)])
def test_roi_align(both, device, size, mode):
    images = torch.randn(2, 5, 23, 31, device=device, requires_grad=True)
    boxes, _ = boxes_and_scores(40, device)
    boxes = boxes - 20
    rois = torch.cat([torch.randint(0, 2, (40, 1), device=device), boxes], 1)
    for aligned, ratio, scale, n in product((True, False), (0, 2), (0.25, 0.0625), (40, 1, 0)):
        got, want = both(roi_align, images, rois[:n], size, scale, ratio, mode, aligned)
        for a, b in zip(got, want):
            torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('groups, deform_groups', [(1, 1), (1, 2), (2, 1), (2, 2), (2, 4)])
@pytest.mark.parametrize(
    'kernel, stride, padding, dilation', [(3, 1, 1, 1), (1, 1, 0, 1), (3, 2, 2, 2), (2, 1, 0, 1)]
)
def test_deform_convs(both, device, kernel, stride, padding, dilation, groups, deform_groups):
    for batch, spread in product((1, 3), (2.0, 0.0)):
        x = torch.randn(batch, 8, 9, 12, device=device, requires_grad=True)
        weight = torch.randn(4, 8 // groups, kernel, kernel, device=device, requires_grad=True)
        bias = torch.randn(4, device=device, requires_grad=True)
        h, w = ((s + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1 for s in (9, 12))
        points = deform_groups * kernel * kernel
        offset = (torch.randn(batch, points * 2, h, w, device=device) * spread).requires_grad_()
        mask = torch.rand(batch, points, h, w, device=device, requires_grad=True)
        args = stride, padding, dilation, groups, deform_groups
        pairs = [both(deform_conv2d, x, offset, weight, *args),
                 both(modulated_deform_conv2d, x, offset, mask, weight, bias, *args),
                 both(modulated_deform_conv2d, x, offset, mask, weight, None, *args)]
        for got, want in pairs:
            for a, b in zip(got, want):
                torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='mmcv compiles these ops for GPUs only')
@pytest.mark.parametrize('n', [0, 1, 77])
def test_ops_of_the_gpu(both, n):
    logits = torch.randn(n, 6, device='cuda', requires_grad=True)
    target = torch.randint(0, 6, (n,), device='cuda')
    pairs = [both(sigmoid_focal_loss, logits, target, 2.0, 0.25, weight, 'none')
             for weight in (None, torch.rand(6, device='cuda'))]
    shapes = torch.tensor([[9, 13], [4, 7]], device='cuda')
    value = torch.randn(2, 145, 4, 8, device='cuda', requires_grad=True)
    locations = (torch.rand(2, n, 4, 2, 3, 2, device='cuda') * 1.2 - .1).requires_grad_()
    attention = torch.rand(2, n, 4, 2, 3, device='cuda', requires_grad=True)
    if n:
        pairs.append(both(MultiScaleDeformableAttnFunction.apply, value, shapes,
                          torch.tensor([0, 117], device='cuda'), locations, attention, 64))
    for got, want in pairs:
        for a, b in zip(got, want):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)
