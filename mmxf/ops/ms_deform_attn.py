"""Multi-scale deformable attention (Deformable DETR, arXiv 2010.04159, equation 3)."""
import torch
from torch import Tensor

from .autocast import compute_dtype, without_autocast
from .bilinear import corners, mix_rows

TAPS = 1 << 24  # table rows read in one step; bounds the memory of indices and weights (about 30 bytes each)


@without_autocast
def ms_deform_attn_forward(value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
                           sampling_locations: Tensor, attention_weights: Tensor, im2col_step: int) -> Tensor:
    """Attend to ``L * P`` sampled points of each head.

    Args:
        value: (B, N, heads, C), the L maps flattened one after another.
        value_spatial_shapes: (L, 2) int64, height and width of each map.
        value_level_start_index: (L,) int64, the first row of each map in ``value``.
        sampling_locations: (B, Q, heads, L, P, 2), x and y in [0, 1] over the map's full extent; outside
            reads zeros.
        attention_weights: (B, Q, heads, L, P).
        im2col_step: not used; work is cut by memory.

    Returns:
        (B, Q, heads * C), of the type of ``value``.
    """
    batch, queries, heads = sampling_locations.shape[:3]
    output = value.new_empty(batch, queries, heads, value.shape[-1])
    for part, rows in _parts(sampling_locations):
        output[part, rows] = _attend(
            value[part],
            value_spatial_shapes,
            value_level_start_index,
            sampling_locations[part, rows],
            attention_weights[part, rows],
        ).to(value.dtype)
    return output.flatten(2)


@without_autocast
def ms_deform_attn_backward(value: Tensor, value_spatial_shapes: Tensor, value_level_start_index: Tensor,
                            sampling_locations: Tensor, attention_weights: Tensor, grad_output: Tensor,
                            grad_value: Tensor, grad_sampling_loc: Tensor, grad_attn_weight: Tensor,
                            im2col_step: int) -> None:
    """Write the gradients of :func:`ms_deform_attn_forward` into the three tensors of its inputs' shapes."""
    grad_output = grad_output.unflatten(-1, (value.shape[2], value.shape[3]))
    total = torch.zeros_like(value, dtype=compute_dtype(value))
    for part, rows in _parts(sampling_locations):
        leaves = [t.detach().to(total.dtype).requires_grad_()
                  for t in (value[part], sampling_locations[part, rows], attention_weights[part, rows])]
        with torch.enable_grad():
            out = _attend(leaves[0], value_spatial_shapes, value_level_start_index, leaves[1], leaves[2])
        by_value, by_location, by_attention = torch.autograd.grad(
            out, leaves, grad_output[part, rows].to(out)
        )
        total[part] += by_value
        grad_sampling_loc[part, rows] = by_location.to(grad_sampling_loc)
        grad_attn_weight[part, rows] = by_attention.to(grad_attn_weight)
    grad_value.copy_(total)


def _parts(sampling_locations: Tensor):
    """Slices (samples, queries) that read at most TAPS rows each: whole samples, or parts of one."""
    batch, queries = sampling_locations.shape[:2]
    taps = max(1, sampling_locations[0, 0].numel() * 2) if batch and queries else 1  # 4 corners per x, y pair
    samples = max(1, TAPS // (taps * max(1, queries)))
    step = max(1, TAPS // taps) if samples == 1 else max(1, queries)
    for first in range(0, batch, samples):
        for row in range(0, queries, step):
            yield slice(first, first + samples), slice(row, row + step)


def _attend(value: Tensor, shapes: Tensor, starts: Tensor, locations: Tensor, attention: Tensor) -> Tensor:
    """(B, N, heads, C), (L, 2), (L,), (B, Q, heads, L, P, 2), (B, Q, heads, L, P) -> (B, Q, heads, C)."""
    batch, length, heads, channels = value.shape
    dtype = compute_dtype(value)
    shapes, starts = shapes.to(value.device).int(), starts.to(value.device).int()
    height, width = shapes[:, 0, None], shapes[:, 1, None]  # (L, 1)
    x, y = (locations.to(dtype) * torch.stack([width, height], -1) - 0.5).unbind(-1)  # (B, Q, heads, L, P)
    index, weight = corners(y, x, height, width)  # (B, Q, heads, L, P, 4)
    # Row of the flattened (B, N, heads) table.
    sample = torch.arange(batch, device=value.device, dtype=torch.int32).view(-1, 1, 1, 1, 1, 1)
    head = torch.arange(heads, device=value.device, dtype=torch.int32).view(-1, 1, 1, 1)
    index = (index + starts.view(-1, 1, 1)) * heads + (head + sample * (length * heads))
    weight = weight * attention.to(dtype).unsqueeze(-1)
    bags = batch * locations.shape[1] * heads
    mixed = mix_rows(value.to(dtype).reshape(-1, channels), index.view(bags, -1), weight.view(bags, -1))
    return mixed.view(batch, -1, heads, channels) if bags else mixed.new_zeros(batch, 0, heads, channels)
