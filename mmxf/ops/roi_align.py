"""RoIAlign (He et al., arXiv 1703.06870): bilinear samples in each bin of a box, their mean or maximum.

Samples stand on a regular grid, so the weights of a bin's mean are the product of a weight for each row and one
for each column of pixels. Samples no more than a pixel apart share rows: g samples touch g + 1 rows, not 2 g.

Where a box without extent leaves a bin without samples the output is 0, for max pooling too (mmcv's kernel
writes -10000 there).
"""
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .autocast import compute_dtype, without_autocast
from .bilinear import mix_rows
from .torchvision_kernels import roi_align_kernels

TAPS = 1 << 22          # table rows read in one step of average pooling
NUMBERS = 1 << 24       # sampled numbers (points x channels) in one step of max pooling
MAX, AVERAGE = 0, 1


@dataclass(frozen=True)
class Grid:
    """How boxes are cut into bins and sampled."""

    bins: tuple[int, int]
    scale: float
    ratio: int
    aligned: bool

    def extent(self, rois: Tensor) -> tuple[Tensor, Tensor]:
        """Start and size of each box in feature pixels, both (R, 2) as y, x."""
        shift = 0.5 if self.aligned else 0.0
        start = rois[:, [2, 1]] * self.scale - shift
        size = rois[:, [4, 3]] * self.scale - shift - start
        return start, size if self.aligned else size.clamp(min=1)

    def groups(self, rois: Tensor) -> list[tuple[Tensor, tuple[int, int]]]:
        """Boxes by their number of samples a bin (rows, columns); boxes without samples are left out."""
        if self.ratio > 0:
            return [(torch.arange(len(rois), device=rois.device), (self.ratio, self.ratio))]
        size = self.extent(rois)[1]
        kinds, kind = (size / size.new_tensor(self.bins)).ceil().long().unique(dim=0, return_inverse=True)
        members = kind.argsort(stable=True).split(kind.bincount(minlength=len(kinds)).tolist())
        return [(m, tuple(k)) for m, k in zip(members, kinds.tolist()) if min(k) > 0]

    def positions(self, rois: Tensor, samples: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Where the samples lie, y (R, bins, samples) and x (R, bins, samples), each of its own axis."""
        start, size = self.extent(rois)
        axes = []
        for axis in range(2):
            step = (size[:, axis] / self.bins[axis]).view(-1, 1, 1)
            at_bin = torch.arange(self.bins[axis], device=rois.device, dtype=rois.dtype).view(-1, 1)
            at_sample = torch.arange(samples[axis], device=rois.device, dtype=rois.dtype) + 0.5
            axes.append(start[:, axis].view(-1, 1, 1) + at_bin * step + at_sample * step / samples[axis])
        return axes[0], axes[1]


@without_autocast
def roi_align_forward(input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor,
                      aligned_height: int, aligned_width: int, spatial_scale: float, sampling_ratio: int,
                      pool_mode: int, aligned: bool) -> None:
    """Pool each box to a grid of bins.

    Args:
        input: (B, C, H, W).
        rois: (R, 5), index of the sample and x1 y1 x2 y2 in image pixels.
        output: (R, C, aligned_height, aligned_width), written.
        argmax_y, argmax_x: of the output's shape, written in max mode: where the largest sample lay, -2 where
            there was none.
        aligned_height, aligned_width: bins.
        spatial_scale: feature pixels per image pixel.
        sampling_ratio: samples a bin and axis; 0 or less takes one for each pixel begun.
        pool_mode: 0 max, 1 average.
        aligned: whether pixel centres are at half-integers; if not, boxes are at least one pixel large.
    """
    if not output.numel():
        return
    grid = Grid((aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned)
    data, rois = input.to(compute_dtype(input)), rois.to(compute_dtype(input))
    if pool_mode == MAX:
        _forward_max(data, rois, grid, output, argmax_y, argmax_x)
        return
    kernels = roi_align_kernels(data.device.type)
    if kernels is not None:
        output.copy_(kernels[0](data, rois, spatial_scale, *grid.bins, sampling_ratio, aligned))
        return
    output.zero_()
    table = data.permute(0, 2, 3, 1).reshape(-1, data.shape[1])
    for members, index, weight, offsets in _bags(rois, grid, data.shape[2], data.shape[3]):
        pooled = mix_rows(table, index, weight, offsets).view(len(members), *grid.bins, -1)
        output[members] = pooled.permute(0, 3, 1, 2).to(output.dtype)


@without_autocast
def roi_align_backward(grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor,
                       grad_input: Tensor, aligned_height: int, aligned_width: int, spatial_scale: float,
                       sampling_ratio: int, pool_mode: int, aligned: bool) -> None:
    """Add the gradient by the input to ``grad_input`` (B, C, H, W)."""
    if not grad_output.numel():
        return
    grid = Grid((aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned)
    dtype = compute_dtype(grad_input)
    grad, rois = grad_output.to(dtype), rois.to(dtype)
    if pool_mode == MAX:
        _backward_max(grad, rois, argmax_y.to(dtype), argmax_x.to(dtype), grad_input)
        return
    batch, channels, height, width = size = grad_input.shape
    kernels = roi_align_kernels(grad.device.type)
    if kernels is not None:
        total = kernels[1](grad.contiguous(), rois, spatial_scale, *grid.bins, *size, sampling_ratio, aligned)
        grad_input += total.to(grad_input)
        return
    # Pooling is linear in the table, so the gradient is the same at any table, also at zeros.
    table = grad.new_zeros(batch * height * width, channels, requires_grad=True)
    by_bin = grad.permute(0, 2, 3, 1)
    for members, index, weight, offsets in _bags(rois, grid, height, width):
        with torch.enable_grad():
            pooled = mix_rows(table, index, weight, offsets)
        total, = torch.autograd.grad(pooled, table, by_bin[members].reshape(-1, channels))
        grad_input += total.view(batch, height, width, channels).permute(0, 3, 1, 2).to(grad_input)


def _bags(rois: Tensor, grid: Grid, height: int,
          width: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Boxes in steps, with the pixels that each bin averages.

    Yields:
        members: (r,) which boxes.
        index, weight: (n,), rows of the (B, H, W) table and their weights, bin after bin of box after box.
        offsets: (r * bins,), where each bin begins in them.
    """
    parts, taken = [], 0
    for members, samples in grid.groups(rois):
        per_box = grid.bins[0] * grid.bins[1] * 4 * samples[0] * samples[1]
        for some in members.split(max(1, TAPS // per_box)):
            if parts and taken + len(some) * per_box > TAPS:
                yield _joined(parts)
                parts, taken = [], 0
            y, x = grid.positions(rois[some], samples)
            merge = grid.ratio <= 0  # only then samples are at most a pixel apart
            rows, by_row = _axis_taps(y, height, merge)
            columns, by_column = _axis_taps(x, width, merge)
            base = (rois[some, 0].int() * (height * width)).view(-1, 1, 1)
            rows = (base + rows * width)[:, :, None, :, None]
            index = (rows + columns[:, None, :, None, :]).flatten(3).flatten(0, 2)      # (r * bins, taps)
            weight = (by_row[:, :, None, :, None] * by_column[:, None, :, None, :]).flatten(3).flatten(0, 2)
            parts.append((some, index, weight))
            taken += len(some) * per_box
    if parts:
        yield _joined(parts)


def _joined(parts: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bags of different sizes one after another, with their offsets."""
    members, index, weight = (torch.cat([part.flatten() for part in column]) for column in zip(*parts))
    sizes = torch.cat([torch.full((len(i),), i.shape[1], device=i.device) for _, i, _ in parts])
    return members, index, weight, (sizes.cumsum(0) - sizes).int()


def _axis_taps(position: Tensor, size: int, merge: bool) -> tuple[Tensor, Tensor]:
    """Pixels and weights along one axis for the mean of a bin's samples: (R, bins, taps) int32 and float.

    Positions up to a pixel outside the map read the border; those farther out read zero.
    """
    inside = ((position >= -1) & (position <= size)) / position.shape[-1]
    position = position.clamp(0, size - 1).nan_to_num()
    low = position.floor()
    by_high = (position - low) * inside
    by_low = inside - by_high
    if not merge:
        return torch.cat([low, low + 1], -1).clamp(max=size - 1).int(), torch.cat([by_low, by_high], -1)
    first = low[..., :1]
    count = min(position.shape[-1] + 1, size)
    weight = position.new_zeros(*position.shape[:-1], count)
    at = (low - first).long()
    weight.scatter_add_(-1, at.clamp(max=count - 1), by_low)
    weight.scatter_add_(-1, (at + 1).clamp(max=count - 1), by_high)  # where clamped, by_high is 0
    pixel = first.int() + torch.arange(count, device=position.device, dtype=torch.int32)
    return pixel.clamp(max=size - 1), weight


def _forward_max(data: Tensor, rois: Tensor, grid: Grid, output: Tensor, argmax_y: Tensor,
                 argmax_x: Tensor) -> None:
    """The largest sample of each bin and channel, and where it lay."""
    for tensor, nothing in ((output, 0), (argmax_y, -2), (argmax_x, -2)):
        tensor.fill_(nothing)
    table = data.permute(0, 2, 3, 1).reshape(-1, data.shape[1])
    for members, samples in grid.groups(rois):
        numbers = grid.bins[0] * grid.bins[1] * samples[0] * samples[1] * data.shape[1]
        for some in members.split(max(1, NUMBERS // numbers)):
            y, x = grid.positions(rois[some], samples)
            y, x = torch.broadcast_tensors(y[:, :, None, :, None], x[:, None, :, None, :])
            y, x = (p.flatten(3).flatten(1, 2) for p in (y, x))                         # (r, bins, samples)
            index, weight = _taps(y, x, rois[some, 0], data.shape[2], data.shape[3])
            sampled = mix_rows(table, index.flatten(0, -2), weight.flatten(0, -2)).view(*y.shape, -1)
            largest, at = sampled.max(2)                                                # (r, bins, C)
            found = largest, y.gather(2, at), x.gather(2, at)
            for target, value in zip((output, argmax_y, argmax_x), found):
                value = value.view(len(some), *grid.bins, -1).permute(0, 3, 1, 2)
                target[some] = value.to(target.dtype)


def _backward_max(grad: Tensor, rois: Tensor, y: Tensor, x: Tensor, grad_input: Tensor) -> None:
    """Each bin's gradient goes to the four pixels around its largest sample, channel by channel."""
    _, channels, height, width = grad_input.shape
    index, weight = _taps(y, x, rois[:, 0], height, width)                              # (R, C, h, w, n)
    # Rows of the (B, H, W) table -> elements of (B, C, H, W).
    plane, pixel = index.long() // (height * width), index.long() % (height * width)
    channel = torch.arange(channels, device=grad.device).view(-1, 1, 1, 1)
    element = (plane * channels + channel) * (height * width) + pixel
    total = grad.new_zeros(grad_input.numel())
    total.index_add_(0, element.flatten(), (weight * grad.unsqueeze(-1)).flatten())
    grad_input += total.view(grad_input.shape).to(grad_input)


def _taps(y: Tensor, x: Tensor, sample: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows of the (B, H, W) table around each position, and their weights, (..., up to 4); see _axis_taps."""
    (rows, by_row), (columns, by_column) = (
        _axis_taps(position.unsqueeze(-1), size, merge=True) for position, size in ((y, height), (x, width)))
    base = (sample.int() * (height * width)).view(-1, *[1] * y.dim())
    index = (base + rows * width).unsqueeze(-1) + columns.unsqueeze(-2)
    return index.flatten(-2), (by_row.unsqueeze(-1) * by_column.unsqueeze(-2)).flatten(-2)
