"""Every op that models call, run once and compared with plain torch: ``python -m mmxf.cli._self_test DEVICE``.

In a process of its own, because a compiled extension of another torch may take the process down. Prints one JSON line an op.
"""
from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable

TOLERANCE = 1e-4    # of the largest value; all ops are float32


def cases(device: str) -> dict[str, Callable[[], float]]:
    """Name -> function that runs an op forward, and backward where it has one, and returns its relative error."""
    import torch
    import torch.nn.functional as F

    import mmxf  # noqa: F401  (serves mmcv's extension where it was not compiled)

    generator = torch.Generator().manual_seed(0)

    def random(*shape: int, grad: bool = False):
        return torch.rand(*shape, generator=generator).to(device).requires_grad_(grad)

    def error(found, wanted) -> float:
        wanted = wanted.to(found)
        if found.shape != wanted.shape:
            return float('inf')
        found, wanted = found.detach(), wanted.detach()
        return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6)) if wanted.numel() else 0.0

    def with_gradients(function: Callable, reference: Callable, *leaves) -> float:
        outs = [f() for f in (function, reference)]
        weight = torch.linspace(0.5, 1.5, outs[1].numel(), device=device).view(outs[1].shape)
        found, wanted = (torch.autograd.grad((out * weight).sum(), leaves) for out in outs)
        return max(error(outs[0], outs[1]), *(error(a, b) for a, b in zip(found, wanted)))

    def nms() -> float:
        from mmcv.ops import nms as op

        boxes = torch.tensor([[0., 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30], [0, 0, 10, 9]], device=device)
        _, kept = op(boxes, torch.tensor([0.9, 0.8, 0.7, 0.95], device=device), 0.5)
        return error(kept.float(), torch.tensor([3., 2.]))

    def soft_nms() -> float:
        from mmcv.ops import soft_nms as op

        boxes = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]])
        kept, _ = op(boxes, torch.tensor([0.9, 0.8, 0.7]), iou_threshold=0.3, method='linear')
        # An IoU of 0.5 halves the second score.
        return error(kept[:, 4], torch.tensor([0.9, 0.7, 0.4]))

    def roi_align() -> float:
        from mmcv.ops import roi_align as op

        ramp = (torch.arange(16.)[:, None] + 10 * torch.arange(16.)).expand(1, 1, 16, 16).contiguous().to(device)
        out = op(ramp, torch.tensor([[0., 2, 2, 10, 10]], device=device), 4, 1.0, 2)
        places = torch.tensor([2.5, 4.5, 6.5, 8.5])     # centres of the bins, half a pixel to the left
        return error(out[0, 0], places[:, None] + 10 * places)

    def focal_loss() -> float:
        from mmcv.ops import sigmoid_focal_loss as op

        logits, target = random(40, 5, grad=True), torch.arange(40, device=device) % 6

        def reference():
            hot = F.one_hot(target, 6)[:, :5].float()
            p = logits.sigmoid()
            chosen = torch.where(hot > 0, p, 1 - p)
            return (-torch.where(hot > 0, 0.25, 0.75) * (1 - chosen) ** 2 * chosen.log()).sum() / len(logits)

        return with_gradients(lambda: op(logits, target), reference, logits)

    def deform(modulated: bool) -> float:
        from mmcv.ops import deform_conv2d, modulated_deform_conv2d

        x, weight = random(1, 8, 12, 14, grad=True), random(6, 8, 3, 3, grad=True)
        offset = torch.zeros(1, 18, 12, 14, device=device)      # without offsets it is a convolution
        if modulated:
            mask, bias = torch.full((1, 9, 12, 14), 0.5, device=device), random(6)
            return with_gradients(lambda: modulated_deform_conv2d(x, offset, mask, weight, bias, 1, 1),
                                  lambda: F.conv2d(x, weight / 2, bias, 1, 1), x, weight)
        return with_gradients(lambda: deform_conv2d(x, offset, weight, 1, 1), lambda: F.conv2d(x, weight, None, 1, 1), x, weight)

    def ms_deform_attn() -> float:
        from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch

        shapes = torch.tensor([[6, 8], [3, 4]], device=device)
        value, places = random(1, 60, 2, 4, grad=True), random(1, 5, 2, 2, 3, 2)
        weights = random(1, 5, 2, 2, 3).softmax(-1)
        starts = torch.tensor([0, 48], device=device)
        return with_gradients(
            lambda: MultiScaleDeformableAttnFunction.apply(value, shapes, starts, places, weights, 64),
            lambda: multi_scale_deformable_attn_pytorch(value, shapes, places, weights), value)

    def rational() -> float:
        from mmxf.ops.rational import rational as op
        from mmxf.ops.rational_torch import formula

        x, a, b = random(4, 16, grad=True), random(4, 6), random(4, 4)
        return with_gradients(lambda: op(x, a, b), lambda: formula(x, a, b, 4), x)

    def attention() -> float:
        q, k, v = (random(2, 4, 9, 8, grad=True) for _ in range(3))
        return with_gradients(lambda: F.scaled_dot_product_attention(q, k, v),
                              lambda: (q @ k.mT / 8**0.5).softmax(-1) @ v, q, k, v)

    found = {'nms': nms, 'roi_align': roi_align, 'sigmoid_focal_loss': focal_loss, 'deform_conv': lambda: deform(False),
             'modulated_deform_conv': lambda: deform(True), 'ms_deform_attn': ms_deform_attn, 'rational': rational,
             'scaled_dot_product_attention': attention}
    if device == 'cpu':
        found['soft_nms'] = soft_nms
    return found


def report(device: str, runs: int = 3) -> list[dict]:
    """One dict an op: name, device, milliseconds (median after a first run), and error, or what it failed with."""
    import torch

    rows = []
    for name, run in cases(device).items():
        row: dict = dict(op=name, device=device)
        try:
            wrong = run()
            times = []
            for _ in range(runs):
                start = time.perf_counter()
                run()
                if device != 'cpu':
                    torch.cuda.synchronize()
                times.append(time.perf_counter() - start)
            row.update(milliseconds=round(1e3 * statistics.median(times), 2), error=wrong if wrong < 1e30 else None)
            if not wrong <= TOLERANCE:
                row['failed'] = f'its result differs from plain torch by {wrong:.1g} of the largest value'
        except Exception as problem:  # one broken op must not hide the others
            row['failed'] = f'{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ""}'
        rows.append(row)
    return rows


if __name__ == '__main__':
    import warnings

    warnings.simplefilter('ignore')
    for line in report(sys.argv[1] if len(sys.argv) > 1 else 'cpu'):
        print(json.dumps(line), flush=True)
