"""RoIAlign (He et al., arXiv 1703.06870): bilinear samples in each bin of a box, their mean or maximum.

Average pooling is a weighted sum of feature rows, 4 a sample; :func:`mix_rows` does it for all boxes at once.
Where a box without extent leaves a bin without samples the output is 0, for max pooling too (mmcv's kernel
writes -10000 there).
"""
from collections.abc import Iterator

import torch
from torch import Tensor

from .autocast import compute_dtype, without_autocast
from .bilinear import mix_rows
from .torchvision_kernels import roi_align_kernels

SAMPLES = 1 << 20       # sampling points in one step of average pooling
NUMBERS = 1 << 24       # sampled numbers (points x channels) in one step of max pooling
MAX, AVERAGE = 0, 1


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
    bins = (aligned_height, aligned_width)
    if not output.numel():
        return
    kernels = roi_align_kernels(input.device.type) if pool_mode == AVERAGE else None
    data, rois = input.to(compute_dtype(input)), rois.to(compute_dtype(input))
    if kernels is not None:
        output.copy_(kernels[0](data, rois, spatial_scale, *bins, sampling_ratio, aligned))
        return
    for tensor, nothing in ((output, 0), (argmax_y, -2), (argmax_x, -2)):
        tensor.fill_(nothing)
    table = data.permute(0, 2, 3, 1).reshape(-1, data.shape[1])
    for part, grid in _equal_grids(
        rois, bins, spatial_scale, sampling_ratio, aligned, pool_mode, data.shape[1]
    ):
        y, x = _positions(rois[part], bins, grid, spatial_scale, aligned)
        index, weight = _taps(y, x, rois[part, 0], data.shape[2], data.shape[3])     # (r, bins, samples, 4)
        r, count, samples, _ = index.shape
        if pool_mode == AVERAGE:
            pooled = mix_rows(table, index.view(r * count, -1), weight.view(r * count, -1) / samples)
            output[part] = pooled.view(r, *bins, -1).permute(0, 3, 1, 2).to(output.dtype)
        else:
            sampled = mix_rows(table, index.view(-1, 4), weight.view(-1, 4)).view(r, count, samples, -1)
            largest, at = sampled.max(2)                                             # (r, bins, C)
            output[part] = largest.view(r, *bins, -1).permute(0, 3, 1, 2).to(output.dtype)
            for target, position in ((argmax_y, y), (argmax_x, x)):
                chosen = position.gather(2, at)
                target[part] = chosen.view(r, *bins, -1).permute(0, 3, 1, 2).to(target.dtype)


@without_autocast
def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient by the input to ``grad_input`` (B, C, H, W)."""
    bins = (aligned_height, aligned_width)
    if not grad_output.numel():
        return
    dtype = compute_dtype(grad_input)
    grad, rois = grad_output.to(dtype), rois.to(dtype)
    batch, channels, height, width = grad_input.shape
    if pool_mode == MAX:
        _backward_max(grad, rois, argmax_y.to(dtype), argmax_x.to(dtype), grad_input)
        return
    kernels = roi_align_kernels(grad.device.type)
    if kernels is not None:
        grad_input += kernels[1](
            grad.contiguous(),
            rois,
            spatial_scale,
            *bins,
            batch,
            channels,
            height,
            width,
            sampling_ratio,
            aligned,
        ).to(grad_input)
        return
    table = torch.zeros(batch * height * width, channels, dtype=dtype, device=grad.device, requires_grad=True)
    total = torch.zeros_like(table)
    for part, grid in _equal_grids(rois, bins, spatial_scale, sampling_ratio, aligned, pool_mode, channels):
        y, x = _positions(rois[part], bins, grid, spatial_scale, aligned)
        index, weight = _taps(y, x, rois[part, 0], height, width)
        r, count, samples, _ = index.shape
        with torch.enable_grad():  # linear in the table, so any table gives the gradient
            pooled = mix_rows(table, index.view(r * count, -1), weight.view(r * count, -1) / samples)
        by_bin = grad[part].permute(0, 2, 3, 1).reshape(r * count, channels)
        total += torch.autograd.grad(pooled, table, by_bin)[0]
    grad_input += total.view(batch, height, width, channels).permute(0, 3, 1, 2).to(grad_input)


def _backward_max(grad: Tensor, rois: Tensor, y: Tensor, x: Tensor, grad_input: Tensor) -> None:
    """Each bin's gradient goes to the four pixels around its largest sample, channel by channel."""
    _, channels, height, width = grad_input.shape
    index, weight = _taps(y, x, rois[:, 0], height, width)                           # (R, C, h, w, 4)
    # Rows of the (B, H, W) table -> elements of (B, C, H, W).
    plane, pixel = index.long() // (height * width), index.long() % (height * width)
    channel = torch.arange(channels, device=grad.device).view(-1, 1, 1, 1)
    element = (plane * channels + channel) * (height * width) + pixel
    total = torch.zeros(grad_input.numel(), dtype=grad.dtype, device=grad.device)
    total.index_add_(0, element.flatten(), (weight * grad.unsqueeze(-1)).flatten())
    grad_input += total.view(grad_input.shape).to(grad_input)


def _extent(rois: Tensor, spatial_scale: float, aligned: bool) -> tuple[Tensor, Tensor]:
    """Start and size of each box in feature pixels, both (R, 2) as y, x."""
    shift = 0.5 if aligned else 0.0
    start = rois[:, [2, 1]] * spatial_scale - shift
    size = rois[:, [4, 3]] * spatial_scale - shift - start
    return start, size if aligned else size.clamp(min=1)


def _equal_grids(
    rois: Tensor,
    bins: tuple[int, int],
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    pool_mode: int,
    channels: int,
) -> Iterator[tuple[Tensor | slice, tuple[int, int]]]:
    """Boxes that can be sampled together, and their samples a bin (rows, columns). Others are left out."""
    if sampling_ratio > 0:
        groups = [(torch.arange(len(rois), device=rois.device), (sampling_ratio, sampling_ratio))]
    else:
        _, size = _extent(rois, spatial_scale, aligned)
        grids = (size / size.new_tensor(bins)).ceil().long()
        kinds, kind = grids.unique(dim=0, return_inverse=True)
        order = kind.argsort(stable=True)
        members = order.split(kind.bincount(minlength=len(kinds)).tolist())
        groups = [(m, tuple(k)) for m, k in zip(members, kinds.tolist()) if min(k) > 0]
    for members, grid in groups:
        samples = bins[0] * bins[1] * grid[0] * grid[1]
        limit = SAMPLES if pool_mode == AVERAGE else max(1, NUMBERS // channels)
        for part in members.split(max(1, limit // samples)):
            yield part, grid


def _positions(rois: Tensor, bins: tuple[int, int], grid: tuple[int, int], spatial_scale: float,
               aligned: bool) -> tuple[Tensor, Tensor]:
    """Sampling positions y and x in feature pixels, both (R, bins, samples)."""
    start, size = _extent(rois, spatial_scale, aligned)
    axes = []  # (R, bin, sample)
    for axis in range(2):
        step = (size[:, axis] / bins[axis]).view(-1, 1, 1)
        bin_index = torch.arange(bins[axis], device=rois.device, dtype=rois.dtype).view(-1, 1)
        sample = torch.arange(grid[axis], device=rois.device, dtype=rois.dtype) + 0.5
        axes.append(start[:, axis].view(-1, 1, 1) + bin_index * step + sample * step / grid[axis])
    y = axes[0][:, :, None, :, None]
    x = axes[1][:, None, :, None, :]
    y, x = torch.broadcast_tensors(y, x)
    return y.flatten(3).flatten(1, 2), x.flatten(3).flatten(1, 2)


def _taps(y: Tensor, x: Tensor, sample: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows of the (B, H, W) table around each position, and their weights, (..., 4).

    Unlike a zero-padded map, positions up to a pixel outside read the border; those farther out read zero.
    """
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y = torch.where(inside, y, 0).clamp(0, height - 1)
    x = torch.where(inside, x, 0).clamp(0, width - 1)
    top, left = y.floor(), x.floor()
    dy, dx = y - top, (x - left) * inside
    keep_x = (1 - (x - left)) * inside
    weight = torch.stack([(1 - dy) * keep_x, (1 - dy) * dx, dy * keep_x, dy * dx], -1)
    base = (sample.int() * (height * width)).view(-1, *[1] * (y.dim() - 1))
    first_row, left = base + top.int() * width, left.int()
    last_row, right = base + (top.int() + 1).clamp(max=height - 1) * width, (left + 1).clamp(max=width - 1)
    return torch.stack([first_row + left, first_row + right, last_row + left, last_row + right], -1), weight
