"""Soft non-maximum suppression (Bodla et al., arXiv 1704.04503): overlapped boxes lose score."""
import numpy as np
import torch
from torch import Tensor

NAIVE, LINEAR, GAUSSIAN = 0, 1, 2


def softnms(boxes: Tensor, scores: Tensor, dets: Tensor, iou_threshold: float, sigma: float, min_score: float,
            method: int, offset: int) -> Tensor:
    """Greedy selection with decaying scores, on the CPU as in mmcv: each step depends on the one before.

    Args:
        boxes: (N, 4), x1 y1 x2 y2.
        scores: (N,).
        dets: (N, 5), written: box and final score of each selected box; rows after the last one are left
            alone.
        iou_threshold: IoU from which NAIVE drops and LINEAR decays by 1 - IoU. Unused by GAUSSIAN.
        sigma: GAUSSIAN decays by exp(-IoU^2 / sigma).
        min_score: boxes whose score falls below leave.
        method: 0 naive, 1 linear, 2 gaussian.
        offset: 0, or 1 where a box's width is x2 - x1 + 1.

    Returns:
        (kept,) int64 indices in order of selection.
    """
    if boxes.numel() == 0:
        return torch.empty(0, dtype=torch.int64)
    dtype = np.float64 if boxes.dtype == torch.float64 else np.float32
    # Rows: x1, y1, x2, y2, score, area. float32 arithmetic throughout, as the compiled kernel's.
    x1, y1, x2, y2 = (c.astype(dtype) for c in boxes.detach().cpu().double().numpy().T)
    table = np.stack([x1, y1, x2, y2, scores.detach().cpu().double().numpy().astype(dtype),
                      (x2 - x1 + dtype(offset)) * (y2 - y1 + dtype(offset))])
    index = np.arange(table.shape[1])
    count, first = table.shape[1], 0
    with np.errstate(divide='ignore', invalid='ignore'):
        while first < count:
            best = first + int(np.argmax(table[4, first:count]))
            table[:, [first, best]] = table[:, [best, first]]
            index[[first, best]] = index[[best, first]]
            head, tail = table[:, first, None], table[:, first + 1:count]
            first += 1
            if not tail.size:
                continue
            width = np.minimum(head[2], tail[2]) - np.maximum(head[0], tail[0]) + dtype(offset)
            height = np.minimum(head[3], tail[3]) - np.maximum(head[1], tail[1]) + dtype(offset)
            inter = np.maximum(width, 0) * np.maximum(height, 0)
            iou = inter / (head[5] + tail[5] - inter)
            if method == NAIVE:
                tail[4] *= ~(iou >= dtype(iou_threshold))
            elif method == LINEAR:
                tail[4] *= np.where(iou >= dtype(iou_threshold), 1 - iou, 1).astype(dtype)
            elif method == GAUSSIAN:
                tail[4] *= np.exp(-(iou * iou) / dtype(sigma))
            else:
                raise ValueError(
                    f'soft_nms: method must be 0 (naive), 1 (linear) or 2 (gaussian), got {method}'
                )
            count = first + _compact(tail, index[first:count], tail[4] < dtype(min_score))
    rows = np.stack([*table[:4, :count], table[4, :count]], axis=1)
    dets[:count] = torch.from_numpy(rows).to(dets)
    return torch.from_numpy(index[:count].copy())


def _compact(table: np.ndarray, index: np.ndarray, dead: np.ndarray) -> int:
    """Move the living columns to the front in place, each hole filled from the far end; how many there are.

    The order matters: among equal scores the first is selected, and mmcv fills holes from the end.
    """
    alive = int(len(dead) - np.count_nonzero(dead))
    if alive < len(dead):
        holes = np.flatnonzero(dead[:alive])
        fill = alive + np.flatnonzero(~dead[alive:])[::-1]
        table[:, holes] = table[:, fill]
        index[holes] = index[fill]
    return alive
