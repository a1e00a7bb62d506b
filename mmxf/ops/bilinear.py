"""Bilinear sampling as a weighted sum of table rows.

roi_align, deformable convolution and deformable attention all read feature maps at real-valued positions.
Here a map is a table with one row of channels a pixel, a position is four rows with four weights, and
``embedding_bag`` sums them without ever materialising the gathered rows. It has gradients for the table and
for the weights, on CPU and GPU.
"""
import torch
import torch.nn.functional as F
from torch import Tensor


def mix_rows(table: Tensor, index: Tensor, weight: Tensor, offsets: Tensor | None = None) -> Tensor:
    """Weighted sums of rows.

    Args:
        table: (R, C).
        index: (N, M) int32 or int64, rows of the table; or (T,) with ``offsets``.
        weight: of the index's shape and the table's type.
        offsets: (N,), where the terms of each sum begin, for sums of different lengths.

    Returns:
        (N, C); row n is ``sum_m weight[n, m] * table[index[n, m]]``.
    """
    if index.numel() == 0 or table.numel() == 0:
        rows = len(index if offsets is None else offsets)
        return table.sum() * 0 + weight.sum() * 0 + table.new_zeros(rows, table.shape[1])
    return F.embedding_bag(index, table, offsets, mode='sum', per_sample_weights=weight)


def corners(y: Tensor, x: Tensor, height: int | Tensor, width: int | Tensor) -> tuple[Tensor, Tensor]:
    """The four pixels around each position of a zero-padded map.

    Args:
        y, x: positions in pixels, any common shape; pixel centres are integers. Differentiable.
        height, width: size of the map, numbers or tensors that broadcast against ``y``.

    Returns:
        index: (..., 4) int32, ``row * width + column`` inside the map.
        weight: (..., 4), zero for corners outside the map. Positions at or beyond -1, height or width weigh
            nothing and
        pass no gradient, as in mmcv's kernels: a zero offset puts the padding of a convolution exactly there.
    """
    inside = (y > -1) & (y < height) & (x > -1) & (x < width)
    y, x = torch.where(inside, y, 0), torch.where(inside, x, 0)  # also stops NaN and infinite positions
    top, left = y.detach().floor(), x.detach().floor()
    dy, dx = y - top, x - left
    weight_top = (1 - dy) * ((top >= 0) & inside)
    weight_bottom = dy * ((top < height - 1) & inside)
    weight_left = (1 - dx) * (left >= 0)
    weight_right = dx * (left < width - 1)
    weight = torch.stack([weight_top * weight_left, weight_top * weight_right,
                          weight_bottom * weight_left, weight_bottom * weight_right], -1)

    top, left = top.int(), left.int()
    first_row, first_column = top.clamp(min=0) * width, left.clamp(min=0)
    last_row, last_column = _at_most(top + 1, height) * width, _at_most(left + 1, width)
    index = torch.stack([first_row + first_column, first_row + last_column,
                         last_row + first_column, last_row + last_column], -1)
    return index.int(), weight


def _at_most(value: Tensor, size: int | Tensor) -> Tensor:
    """Clamp to the last index of an axis."""
    return torch.minimum(value, size - 1) if isinstance(size, Tensor) else value.clamp(max=size - 1)
