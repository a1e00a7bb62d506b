"""Tensor functions in forms that a file of any size can hold.

While a program of dynamic size is traced, sizes are symbols. Some of torch's functions decide by what a size is, or have no form
for symbols; `AnySize` puts others in their place that give the same numbers.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import SymInt, Tensor
from torch.overrides import TorchFunctionMode


class AnySize(TorchFunctionMode):
    """Within it, pooling to a number of bins and antialiased resizing are matrix products."""

    def __torch_function__(self, function: Callable, types: Sequence, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        found = OTHERS[function](*args, **kwargs) if function in OTHERS else NotImplemented
        return function(*args, **kwargs) if found is NotImplemented else found


def adaptive_mean(x: Tensor, output_size: int | Sequence[int | None]) -> Tensor:
    """`F.adaptive_avg_pool2d` of (B, C, H, W): a bin's mean is a weight for each row times one for each column."""
    bins = (output_size,) * 2 if isinstance(output_size, int) else output_size
    for axis, count in zip((2, 3), bins):
        if count is not None:
            x = _product(x, _pooling(x.shape[axis], count, x), axis)
    return x


def resize(x: Tensor, size: Any = None, scale_factor: Any = None, mode: str = 'nearest', align_corners: bool | None = None,
           recompute_scale_factor: bool | None = None, antialias: bool = False) -> Tensor:
    """`F.interpolate` where it is bicubic, antialiased and to a size; NotImplemented where it is not."""
    if mode != 'bicubic' or not antialias or align_corners or size is None:
        return NotImplemented
    for axis, side in zip((2, 3), (size, size) if isinstance(size, (int, SymInt)) else size):
        x = _product(x, _cubic(x.shape[axis], side, x), axis)
    return x


def _product(x: Tensor, weights: Tensor, axis: int) -> Tensor:
    """(B, C, H, W) with its axis 2 or 3 of n entries made m by weights (m, n)."""
    return weights @ x if axis == 2 else x @ weights.T


def _length(size: int, like: Tensor) -> Tensor:
    """A size as a float32 number of a tensor."""
    return torch.ones(size, device=like.device).sum()


def _pooling(size: int, bins: int, like: Tensor) -> Tensor:
    """(bins, size): bin i begins at floor(i size / bins) and ends at ceil((i + 1) size / bins)."""
    pixel, place = torch.arange(size, device=like.device), torch.arange(bins, device=like.device)[:, None]
    # (pixel + 1) bins > i size and pixel bins < (i + 1) size, in whole numbers
    length = torch.ones(size, dtype=torch.int64, device=like.device).sum()
    inside = (((pixel + 1) * bins > place * length) & (pixel * bins < (place + 1) * length)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def _cubic(size: int, new: int, like: Tensor) -> Tensor:
    """(new, size): bicubic weights (a = -0.5), as wide as an output pixel where that is more than an input pixel."""
    scale = _length(size, like) / _length(new, like)
    center = (torch.arange(new, dtype=torch.float32, device=like.device)[:, None] + 0.5) * scale
    pixel = torch.arange(size, dtype=torch.float32, device=like.device) + 0.5
    far = ((pixel - center) / scale.clamp(min=1)).abs()
    near = (1.5 * far - 2.5) * far * far + 1
    tail = ((-0.5 * far + 2.5) * far - 4) * far + 2
    weights = torch.where(far < 1, near, torch.where(far < 2, tail, 0.0))
    return (weights / weights.sum(1, keepdim=True)).to(like.dtype)


OTHERS: dict[Callable, Callable] = {F.adaptive_avg_pool2d: adaptive_mean, F.interpolate: resize}
