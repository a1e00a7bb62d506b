"""Suppression and pooling of boxes in forms that exported files can hold: as many numbers out as in, whatever the values.

Each comes twice: as an operator of its own, which becomes ONNX's NonMaxSuppression and RoiAlign, and in plain tensors for torch's
exported programs, which must not ask for operators that a bare torch lacks.
"""
# No `from __future__ import annotations`: torch 2.4 reads the operators' types from the annotations themselves.
import torch
from torch import Tensor

CHUNK = 64      # boxes that are pooled at once in plain tensors


def suppress(boxes: Tensor, scores: Tensor, threshold: float, onnx: bool) -> Tensor:
    """Greedy non-maximum suppression within groups.

    Args:
        boxes: (G, N, 4), x1 y1 x2 y2.
        scores: (G, N). Equal scores keep their order.
        threshold: a box is dropped when its IoU with a better kept one is greater.
        onnx: whether it may become ONNX's operator.

    Returns:
        (G, N) bool, what is kept.
    """
    return torch.ops.mmxf_export.suppress(boxes, scores, threshold) if onnx else suppress_plain(boxes, scores, threshold)


def suppress_plain(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """`suppress` as a loop over the ranks."""
    from torch._higher_order_ops.while_loop import while_loop

    order = scores.sort(dim=-1, descending=True, stable=True).indices
    ranked = boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
    area = (ranked[..., 2:] - ranked[..., :2]).prod(-1)
    ranks = torch.arange(scores.shape[1], device=boxes.device)

    def more(rank: Tensor, keep: Tensor) -> Tensor:
        return rank < len(ranks)

    def step(rank: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        at = rank.view(1)
        box = ranked.index_select(1, at)
        sides = (torch.minimum(ranked[..., 2:], box[..., 2:]) - torch.maximum(ranked[..., :2], box[..., :2])).clamp(min=0)
        shared = sides.prod(-1)
        overlaps = shared / (area + area.index_select(1, at) - shared) > threshold      # 0/0 is not
        return rank + 1, keep & ~(overlaps & (ranks > rank) & keep.index_select(1, at))

    _, keep = while_loop(more, step, (torch.zeros((), dtype=torch.int64), torch.ones_like(scores, dtype=torch.bool)))
    return torch.zeros_like(keep).scatter(1, order, keep)


def pool(feature: Tensor, boxes: Tensor, bins: int, scale: float, ratio: int, onnx: bool) -> Tensor:
    """Aligned RoIAlign with mean, as `mmxf.ops.roi_align` says.

    Args:
        feature: (B, C, H, W).
        boxes: (B, R, 4) in image pixels, within the map.
        bins: of each side.
        scale: feature pixels per image pixel.
        ratio: samples a bin and axis; 0 takes one for each pixel begun.
        onnx: whether it may become ONNX's operator.

    Returns:
        (B, R, C, bins, bins).
    """
    return (torch.ops.mmxf_export.pool if onnx else pool_plain)(feature, boxes, bins, scale, ratio)


def pool_plain(feature: Tensor, boxes: Tensor, bins: int, scale: float, ratio: int) -> Tensor:
    """`pool` as two products: a bin's mean is a weight for each row times one for each column."""
    return torch.cat([_pool_chunk(feature, part, bins, scale, ratio) for part in boxes.split(CHUNK, dim=1)], 1)


def _pool_chunk(feature: Tensor, boxes: Tensor, bins: int, scale: float, ratio: int) -> Tensor:
    (_, C, H, W), R = feature.shape, boxes.shape[1]
    columns = _weights(boxes[..., 0], boxes[..., 2], W, bins, scale, ratio)                 # (B, R, bins, W)
    rows = _weights(boxes[..., 1], boxes[..., 3], H, bins, scale, ratio)                    # (B, R, bins, H)
    wide = torch.matmul(feature.flatten(1, 2), columns.flatten(1, 2).transpose(1, 2))       # (B, C H, R bins)
    wide = wide.unflatten(2, (R, bins)).unflatten(1, (C, H)).permute(0, 3, 2, 1, 4)         # (B, R, H, C, bins)
    out = torch.matmul(rows, wide.flatten(3))                                               # (B, R, bins, C bins)
    return out.unflatten(3, (C, bins)).transpose(2, 3)


def _weights(low: Tensor, high: Tensor, size: int, bins: int, scale: float, ratio: int) -> Tensor:
    """What each pixel of an axis adds to each bin: (B, R, bins, size), of bounds (B, R) in image pixels."""
    extent = (high - low) * scale
    most = ratio if ratio > 0 else (size + bins - 1) // bins + 1
    count = torch.full_like(extent, ratio) if ratio > 0 else (extent / bins).ceil()
    sample = torch.arange(most, dtype=low.dtype, device=low.device)
    at_bin = torch.arange(bins, dtype=low.dtype, device=low.device)[:, None]
    low, extent, count = (value[..., None, None] for value in (low, extent, count))
    place = low * scale - 0.5 + (at_bin + (sample + 0.5) / count.clamp(min=1)) * (extent / bins)
    weight = ((place >= -1) & (place <= size) & (sample < count)) / count.clamp(min=1)     # (B, R, bins, most)
    pixels = torch.arange(size, dtype=low.dtype, device=low.device)
    near = (1 - (place.clamp(0, size - 1).unsqueeze(-1) - pixels).abs()).clamp(min=0)
    return (weight.unsqueeze(-2) @ near).squeeze(-2)


@torch.library.custom_op('mmxf_export::suppress', mutates_args=())
def _suppress(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    from mmxf.ops.nms import nms

    keep = torch.zeros_like(scores, dtype=torch.bool)
    for row, some, ranking in zip(keep, boxes, scores):
        row[nms(some, ranking, threshold, 0)] = True
    return keep


@_suppress.register_fake
def _(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


@torch.library.custom_op('mmxf_export::pool', mutates_args=())
def _pool(feature: Tensor, boxes: Tensor, bins: int, scale: float, ratio: int) -> Tensor:
    return pool_plain(feature, boxes, bins, scale, ratio)


@_pool.register_fake
def _(feature: Tensor, boxes: Tensor, bins: int, scale: float, ratio: int) -> Tensor:
    return feature.new_empty(*boxes.shape[:2], feature.shape[1], bins, bins)


def translations() -> dict:
    """The operators as ONNX's own."""
    from onnxscript import opset18 as op

    def suppress(boxes, scores, threshold: float):
        count = op.Reshape(op.Gather(op.Shape(scores), op.Constant(value_int=1)), op.Constant(value_ints=[1]))
        picked = op.NonMaxSuppression(boxes, op.Unsqueeze(scores, op.Constant(value_ints=[1])), count,
                                      op.Constant(value_floats=[threshold]))                # (M, 3): group, 0, box
        where = op.Gather(picked, op.Constant(value_ints=[0, 2]), axis=1)
        picks = op.Equal(op.Gather(picked, op.Constant(value_int=1), axis=1), op.Constant(value_int=0))     # all true
        return op.ScatterND(op.Less(scores, scores), where, picks)

    def pool(feature, boxes, bins: int, scale: float, ratio: int):
        shape = op.Shape(boxes)
        rois = op.Reshape(boxes, op.Constant(value_ints=[-1, 4]))
        batch = op.Gather(shape, op.Constant(value_int=0))
        owner = op.Unsqueeze(op.Range(op.Constant(value_int=0), batch, op.Constant(value_int=1)), op.Constant(value_ints=[1]))
        size = op.Slice(shape, op.Constant(value_ints=[0]), op.Constant(value_ints=[2]))
        owner = op.Reshape(op.Expand(owner, size), op.Constant(value_ints=[-1]))
        pooled = op.RoiAlign(feature, rois, owner, coordinate_transformation_mode='half_pixel', mode='avg', output_height=bins,
                             output_width=bins, sampling_ratio=max(ratio, 0), spatial_scale=scale)
        parts = op.Concat(size, op.Shape(pooled, start=1), axis=0)
        return op.Reshape(pooled, parts)

    return {torch.ops.mmxf_export.suppress.default: suppress, torch.ops.mmxf_export.pool.default: pool}
