"""What both deformable convolutions share: sampled columns, and the matrix products around them.

A column holds, for one output position, the C input channels at each of the K = kH * kW sampled points. They
are made for a part of the output at a time, multiplied with the weights, and dropped.
"""
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .autocast import compute_dtype
from .bilinear import corners, mix_rows

COLUMN_NUMBERS = 1 << 24  # numbers in the columns of one part


@dataclass(frozen=True)
class Geometry:
    """Sizes (rows, columns) of a deformable convolution, and how channels are split."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    deform_groups: int

    @property
    def points(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def output_size(self, input: Tensor) -> tuple[int, int]:
        return tuple((size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in
                     zip(input.shape[2:], self.kernel, self.stride, self.padding, self.dilation))

    def check(self, input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor) -> None:
        """Raise ValueError where the shapes do not fit."""
        channels = input.shape[1]
        if channels % self.deform_groups or channels % self.groups or weight.shape[0] % self.groups:
            raise ValueError(
                f'deform_conv: {channels} input and {weight.shape[0]} output channels cannot be split '
                f'into {self.groups} groups and {self.deform_groups} deform_groups'
            )
        if weight.shape[1] * self.groups != channels:
            raise ValueError(
                f'deform_conv: a weight of shape {tuple(weight.shape)} with {self.groups} groups takes '
                f'{weight.shape[1] * self.groups} input channels, the input has {channels}'
            )
        for name, tensor, each in (('offset', offset, 2), ('mask', mask, 1)):
            want = (len(input), self.deform_groups * each * self.points, *self.output_size(input))
            if tensor is not None and tuple(tensor.shape) != want:
                raise ValueError(f'deform_conv: {name} must have shape {want}, got {tuple(tensor.shape)}')

    def parts(self, input: Tensor) -> Iterator[tuple[slice, slice]]:
        """Cut the output so that each part's columns stay below COLUMN_NUMBERS: (samples, output rows).

        Several samples whole, or rows of one sample.
        """
        height, width = self.output_size(input)
        row = max(1, input.shape[1] * self.points * width)
        samples = max(1, COLUMN_NUMBERS // (row * height))
        rows = height if samples > 1 else max(1, COLUMN_NUMBERS // row)
        for sample in range(0, len(input), samples):
            for first in range(0, height, rows):
                yield slice(sample, sample + samples), slice(first, min(first + rows, height))


def convolve(input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, geometry: Geometry,
             output: Tensor) -> None:
    """Write the convolution, without bias, into ``output`` (B, O, h, w)."""
    geometry.check(input, offset, mask, weight)
    matrix = pack_weight(weight.to(compute_dtype(input)), geometry)
    for samples, rows in geometry.parts(input):
        sampled = columns(input[samples], _part(offset, samples, rows), _part(mask, samples, rows), geometry,
                          rows.start)
        product = torch.bmm(pack_columns(sampled, geometry.groups), matrix)    # (groups, n, O / groups)
        target = output[samples, :, rows].unflatten(1, (geometry.groups, -1))  # (b, groups, O / groups, r, w)
        b, _, _, r, w = target.shape
        target.copy_(product.view(geometry.groups, b, r, w, -1).permute(1, 0, 4, 2, 3))


def backward_data(
    input: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    weight: Tensor,
    grad_output: Tensor,
    geometry: Geometry,
    grad_input: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor | None,
) -> None:
    """Add the gradient of :func:`convolve` by the input to ``grad_input``; write those by offset and mask."""
    geometry.check(input, offset, mask, weight)
    matrix = pack_weight(weight.to(compute_dtype(input)), geometry).transpose(1, 2)
    for samples, rows in geometry.parts(input):
        by_columns = torch.bmm(_grad_rows(grad_output, samples, rows, geometry).to(matrix), matrix)
        parts = [input[samples], offset[samples, :, rows]]
        if mask is not None:
            parts.append(mask[samples, :, rows])
        leaves = [part.detach().to(matrix.dtype).requires_grad_() for part in parts]
        with torch.enable_grad():
            sampled = columns(
                leaves[0], leaves[1], leaves[2] if mask is not None else None, geometry, rows.start
            )
        grads = torch.autograd.grad(
            sampled, leaves, unpack_columns(by_columns, geometry).reshape(sampled.shape)
        )
        grad_input[samples] += grads[0].to(grad_input)
        grad_offset[samples, :, rows] = grads[1].to(grad_offset)
        if mask is not None:
            grad_mask[samples, :, rows] = grads[2].to(grad_mask)


def backward_weight(input: Tensor, offset: Tensor, mask: Tensor | None, weight: Tensor, grad_output: Tensor,
                    geometry: Geometry) -> Tensor:
    """The gradient of :func:`convolve` by the weight, of the weight's shape."""
    geometry.check(input, offset, mask, weight)
    total = torch.zeros_like(pack_weight(weight, geometry), dtype=compute_dtype(input))
    for samples, rows in geometry.parts(input):
        sampled = columns(input[samples], _part(offset, samples, rows), _part(mask, samples, rows), geometry,
                          rows.start)
        grad = _grad_rows(grad_output, samples, rows, geometry).to(total)
        total.baddbmm_(pack_columns(sampled, geometry.groups).transpose(1, 2), grad)
    return unpack_weight(total, weight, geometry)


def columns(input: Tensor, offset: Tensor, mask: Tensor | None, geometry: Geometry, first_row: int) -> Tensor:
    """Sample the columns of a part of the output. Differentiable in input, offset and mask.

    Args:
        input: (b, C, H, W).
        offset: (b, D * K * 2, r, w), y and x in input pixels, of the part's output rows.
        mask: (b, D * K, r, w), or None for ones.
        geometry: the convolution, D = deform_groups.
        first_row: the output row that ``offset`` begins with.

    Returns:
        (b * r * w, D, K, C / D).
    """
    dtype, groups, points = compute_dtype(input), geometry.deform_groups, geometry.points
    b, channels, height, width = input.shape
    rows, row_length = offset.shape[2:]
    table = input.to(dtype).unflatten(1, (groups, -1)).permute(0, 1, 3, 4, 2).reshape(-1, channels // groups)
    kwargs = {'device': input.device, 'dtype': torch.int32}
    tap = torch.arange(points, **kwargs)
    grid_y = (torch.arange(first_row, first_row + rows, **kwargs) * geometry.stride[0] - geometry.padding[0]
              ).view(rows, 1, 1, 1) + tap // geometry.kernel[1] * geometry.dilation[0]
    grid_x = (torch.arange(row_length, **kwargs) * geometry.stride[1] - geometry.padding[1]
              ).view(row_length, 1, 1) + tap % geometry.kernel[1] * geometry.dilation[1]
    # (b, D * K * 2, r, w) -> (2, b, r, w, D, K)
    moved_y, moved_x = offset.to(dtype).unflatten(1, (groups, points, 2)).permute(3, 0, 4, 5, 1, 2)
    index, weight = corners(moved_y + grid_y, moved_x + grid_x, height, width)           # (b, r, w, D, K, 4)
    plane = torch.arange(b * groups, **kwargs).view(b, 1, 1, groups, 1, 1) * (height * width)
    if mask is not None:
        weight = weight * mask.to(dtype).unflatten(1, (groups, points)).permute(0, 3, 4, 1, 2).unsqueeze(-1)
    sampled = mix_rows(table, (index + plane).view(-1, 4), weight.reshape(-1, 4))
    return sampled.view(-1, groups, points, channels // groups)


def pack_columns(sampled: Tensor, groups: int) -> Tensor:
    """(n, D, K, C / D) -> (groups, n, K * C / groups), a matrix a convolution group."""
    if groups == 1:
        return sampled.flatten(1).unsqueeze(0)
    n, _, points, _ = sampled.shape
    by_point = sampled.transpose(1, 2).reshape(n, points, groups, -1)
    return by_point.permute(2, 0, 1, 3).flatten(2)


def unpack_columns(packed: Tensor, geometry: Geometry) -> Tensor:
    """Inverse of :func:`pack_columns`."""
    groups, n, _ = packed.shape
    if groups == 1:
        return packed.view(n, geometry.deform_groups, geometry.points, -1)
    by_point = packed.unflatten(2, (geometry.points, -1)).permute(1, 2, 0, 3)
    return by_point.reshape(n, geometry.points, geometry.deform_groups, -1).transpose(1, 2)


def pack_weight(weight: Tensor, geometry: Geometry) -> Tensor:
    """(O, C / groups, kH, kW) -> (groups, K * C / groups, O / groups), rows as in packed columns."""
    if geometry.groups == 1:
        split = weight.flatten(2).unflatten(1, (geometry.deform_groups, -1))  # (O, D, C / D, K)
        return split.permute(1, 3, 2, 0).reshape(1, -1, len(weight))
    split = weight.flatten(2).unflatten(0, (geometry.groups, -1))  # (groups, O / groups, C / groups, K)
    return split.permute(0, 3, 2, 1).flatten(1, 2)


def unpack_weight(packed: Tensor, like: Tensor, geometry: Geometry) -> Tensor:
    """Inverse of :func:`pack_weight`; ``like`` has the shape to return."""
    out, channels = like.shape[:2]
    if geometry.groups == 1:
        split = packed.view(geometry.deform_groups, geometry.points, channels // geometry.deform_groups, out)
        return split.permute(3, 0, 2, 1).reshape(like.shape)
    split = packed.view(geometry.groups, geometry.points, channels, out // geometry.groups)
    return split.permute(0, 3, 2, 1).reshape(like.shape)


def _part(tensor: Tensor | None, samples: slice, rows: slice) -> Tensor | None:
    return None if tensor is None else tensor[samples, :, rows]


def _grad_rows(grad_output: Tensor, samples: slice, rows: slice, geometry: Geometry) -> Tensor:
    """(B, O, h, w) -> (groups, b * r * w, O / groups) of a part."""
    part = grad_output[samples, :, rows].unflatten(1, (geometry.groups, -1))
    return part.permute(1, 0, 3, 4, 2).flatten(1, 3)
