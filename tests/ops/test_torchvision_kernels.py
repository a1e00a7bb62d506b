"""torchvision serves when it works, and never breaks anything when it does not."""
import builtins
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from mmcv.ops import nms, roi_align

from mmxf.ops import torchvision_kernels as probes
from mmxf.ops.nms import greedy_nms

pytestmark = pytest.mark.usefixtures('fresh_torchvision_probe')


def fake_torchvision(monkeypatch, nms_function) -> None:
    """A package ``torchvision`` whose ``ops.nms`` is the given function, without registered operators."""
    package, ops = ModuleType('torchvision'), ModuleType('torchvision.ops')
    package.ops, ops.nms = ops, nms_function
    monkeypatch.setitem(sys.modules, 'torchvision', package)
    monkeypatch.setitem(sys.modules, 'torchvision.ops', ops)


@pytest.mark.parametrize('error', [ImportError, RuntimeError, OSError])
def test_torchvision_that_cannot_be_imported(monkeypatch, over_stand_in, error):
    """Absent, built for another torch, or without its libraries."""
    real = builtins.__import__

    def broken(name, *args, **kwargs):
        if name.startswith('torchvision'):
            raise error('operator torchvision::nms does not exist')
        return real(name, *args, **kwargs)

    for name in [m for m in sys.modules if m.split('.')[0] == 'torchvision']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, '__import__', broken)
    assert probes.nms_kernel('cpu') is None and probes.roi_align_kernels('cpu') is None
    boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.]])
    assert nms(boxes, torch.tensor([.1, .2]), .5)[1].tolist() == [1]
    assert roi_align(torch.ones(1, 1, 4, 4), torch.tensor([[0., 0., 0., 4., 4.]]), (1, 1)).item() == 1


def test_kernel_that_is_right_is_used_where_it_can(monkeypatch, over_stand_in):
    calls = []

    def counting(boxes, scores, threshold):
        calls.append(len(boxes))
        return greedy_nms(boxes, scores, threshold)

    fake_torchvision(monkeypatch, counting)
    boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.], [5., 5., 6., 6.], [7., 7., 8., 8.]])
    assert nms(boxes, torch.tensor([.1, .2, .3, .4]), .5)[1].tolist() == [3, 2, 1]
    assert calls == [3, 4]   # the probe, and the call
    nms(boxes, torch.tensor([.1, .2, .3, .4]), .5, offset=1)   # torchvision knows no offset
    assert calls == [3, 4]
    assert nms(boxes[:0], torch.zeros(0), .5)[1].tolist() == []


@pytest.mark.parametrize('answer', [torch.tensor([0, 1, 2]), None])
def test_kernel_that_answers_wrongly_or_fails_is_not_used(monkeypatch, over_stand_in, answer):
    def wrong(boxes, scores, threshold):
        if answer is None:
            raise NotImplementedError('no kernel for this device')
        return answer

    fake_torchvision(monkeypatch, wrong)
    assert probes.nms_kernel('cpu') is None
    boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.]])
    assert nms(boxes, torch.tensor([.1, .2]), .5)[1].tolist() == [1]


def test_roi_align_kernels_are_used(monkeypatch, over_stand_in):
    """Called with torchvision's argument order, for averages only; the gradient is added, not written."""
    calls = []

    def forward(image, rois, scale, height, width, ratio, aligned):
        calls.append(('forward', scale, height, width, ratio, aligned))
        return torch.full((len(rois), image.shape[1], height, width), 7.5)

    def backward(grad, rois, scale, height, width, b, c, h, w, ratio, aligned):
        calls.append(('backward', scale, height, width, (b, c, h, w), ratio, aligned))
        return torch.full((b, c, h, w), 1 / 16)

    fake_torchvision(monkeypatch, greedy_nms)
    operators = SimpleNamespace(roi_align=forward, _roi_align_backward=backward)
    monkeypatch.setattr(probes.torch, 'ops', SimpleNamespace(torchvision=operators))
    images = torch.randn(1, 1, 4, 4, requires_grad=True)
    rois = torch.tensor([[0., 0., 0., 4., 4.]])
    out = roi_align(images, rois, (2, 3), 0.5, 0, 'avg', False)
    assert out.detach().eq(7.5).all()
    out.sum().backward()
    assert images.grad.eq(1 / 16).all()
    assert calls[2:] == [('forward', 0.5, 2, 3, 0, False), ('backward', 0.5, 2, 3, (1, 1, 4, 4), 0, False)]
    assert roi_align(images, rois, (2, 3), 0.5, 1, 'max', False).max() == images.max() or len(calls) == 4


def test_real_torchvision_gives_what_our_kernels_give(monkeypatch, over_stand_in, device):
    if probes.nms_kernel(device) is None or probes.roi_align_kernels(device) is None:
        pytest.skip('torchvision is not installed, or does not work with this torch')
    corner = torch.rand(300, 2, device=device) * 50
    boxes, scores = (
        torch.cat([corner, corner + 20 * torch.rand(300, 2, device=device)], 1),
        torch.rand(300, device=device),
    )
    assert torch.equal(nms(boxes, scores, .5)[1], greedy_nms(boxes, scores, .5))
    rois = torch.cat([torch.randint(0, 2, (300, 1), device=device), boxes], 1)
    images = torch.randn(2, 3, 20, 24, device=device, requires_grad=True)
    results = []
    for ratio, aligned in ((0, True), (2, True), (0, False), (2, False)):
        pair = []
        for kernels in (probes.roi_align_kernels(device), None):
            monkeypatch.setattr('mmxf.ops.roi_align.roi_align_kernels', lambda d, kernels=kernels: kernels)
            out = roi_align(images, rois, (7, 5), .5, ratio, 'avg', aligned)
            pair.append((out, torch.autograd.grad(out.square().sum(), images)[0]))
        results.append(pair)
    for theirs, ours in results:
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)
