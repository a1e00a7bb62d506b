"""torchvision's prebuilt kernels, where torchvision is installed and works.

A torchvision that does not match the installed torch fails at import or at the first call, in several ways; a
build without CUDA fails on CUDA tensors only. So each kernel is tried once for each kind of device, on a tiny
input.
"""
import functools
from collections.abc import Callable

import torch


@functools.cache
def nms_kernel(device_type: str) -> Callable | None:
    """``nms(boxes (N, 4), scores (N,), iou_threshold)`` -> kept indices, or None."""
    try:
        from torchvision.ops import nms
        boxes = torch.tensor([[0., 0., 2., 2.], [0., 0., 2., 2.], [4., 4., 6., 6.]], device=device_type)
        kept = nms(boxes, torch.tensor([.5, .9, .1], device=device_type), 0.5)
        return nms if kept.tolist() == [1, 2] else None
    except Exception:  # whatever is wrong with it, our own kernels serve
        return None


@functools.cache
def roi_align_kernels(device_type: str) -> tuple[Callable, Callable] | None:
    """``(forward, backward)`` with the signatures of ``torch.ops.torchvision``, or None.

    ``forward(input, rois, spatial_scale, height, width, sampling_ratio, aligned)``;
    ``backward(grad, rois, spatial_scale, height, width, B, C, H, W, sampling_ratio, aligned)``.
    """
    try:
        import torchvision.ops  # noqa: F401  registers the operators
        forward = torch.ops.torchvision.roi_align
        backward = torch.ops.torchvision._roi_align_backward
        image = torch.arange(16., device=device_type).reshape(1, 1, 4, 4)
        rois = torch.tensor([[0., 0., 0., 4., 4.]], device=device_type)
        out = forward(image, rois, 1.0, 1, 1, 2, True)
        grad = backward(torch.ones_like(out), rois, 1.0, 1, 1, 1, 1, 4, 4, 2, True)
        works = abs(out.item() - 7.5) < 1e-4 and abs(grad.sum().item() - 1) < 1e-4
        return (forward, backward) if works else None
    except Exception:  # as above
        return None
