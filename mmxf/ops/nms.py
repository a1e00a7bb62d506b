"""Greedy non-maximum suppression."""
import torch
from torch import Tensor

from .torchvision_kernels import nms_kernel

BLOCK = 256  # boxes whose mutual suppression is resolved at once
# Box pairs in one IoU matrix: what a CPU's cache holds, what fills a GPU.
PAIRS = {'cpu': 1 << 16, 'cuda': 1 << 24}


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that no better-scored kept box overlaps by more than the threshold.

    Args:
        boxes: (N, 4), x1 y1 x2 y2.
        scores: (N,). Equal scores keep their order.
        iou_threshold: in [0, 1]; a box is dropped when its IoU is strictly greater.
        offset: 0, or 1 where a box's width is x2 - x1 + 1.

    Returns:
        (kept,) int64 on the boxes' device, best score first.
    """
    if boxes.numel() == 0:
        return torch.empty(0, dtype=torch.int64, device=boxes.device)
    if boxes.dtype not in (torch.float32, torch.float64):
        boxes = boxes.float()
    kernel = nms_kernel(boxes.device.type) if offset == 0 else None
    if kernel is not None:
        return kernel(boxes.detach(), scores.detach().to(boxes.dtype), float(iou_threshold))
    return greedy_nms(boxes.detach(), scores.detach(), float(iou_threshold), offset)


def greedy_nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """:func:`nms` in torch: block after block of the sorted boxes instead of box after box."""
    rest = scores.sort(descending=True, stable=True).indices
    kept = []
    while len(rest):
        block, rest = rest[:BLOCK], rest[BLOCK:]
        overlap = _overlaps(boxes[block], boxes[block], iou_threshold, offset).triu_(1)
        block = block[_survivors(overlap)]
        kept.append(block)
        if len(rest):
            step = max(1, PAIRS.get(boxes.device.type, 1 << 20) // len(block))
            dead = [
                _overlaps(boxes[block], boxes[part], iou_threshold, offset).any(0)
                for part in rest.split(step)
            ]
            rest = rest[~torch.cat(dead)]
    return torch.cat(kept)


def _survivors(overlap: Tensor) -> Tensor:
    """Solve keep[j] = not any(keep[i] and overlap[i, j]) for a strictly upper triangular (n, n) matrix.

    Repeating the assignment settles it: after t rounds every box whose chain of suppressors is shorter than t
    is right. The chains are short, far below n.
    """
    overlap = overlap.float()
    keep = torch.ones(len(overlap), device=overlap.device)
    while True:
        update = (keep @ overlap == 0).float()
        if torch.equal(update, keep):
            return keep.bool()
        keep = update


def _overlaps(first: Tensor, second: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """(n, m) bool: which pairs have an IoU above the threshold; 0/0 (boxes without area) is not."""
    x1, y1, x2, y2 = first.unsqueeze(1).unbind(-1)
    u1, v1, u2, v2 = second.unbind(-1)
    width = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).add_(offset).clamp_(min=0)
    height = (torch.minimum(y2, v2) - torch.maximum(y1, v1)).add_(offset).clamp_(min=0)
    inter = width.mul_(height)
    area = (x2 - x1 + offset) * (y2 - y1 + offset)
    other = (u2 - u1 + offset) * (v2 - v1 + offset)
    return inter / (area + other).sub_(inter) > iou_threshold
