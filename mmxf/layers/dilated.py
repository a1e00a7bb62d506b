"""Dilated convolution whose gradients leave out what only meets padding.

At stride 32 a map of 21x21 is hardly wider than the kernels of atrous spatial pyramid pooling: with a dilation of 18 the outer
taps see 3 of 21 rows or columns, the rest is zero padding. oneDNN skips that in the forward pass, not in the backward pass:
80 ms for 2048 to 256 channels (two Zen 4 cores), where one product per tap over the pixels it really sees takes about a third.
"""
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class _DilatedConv(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return F.conv2d(x, weight, padding=dilation * (weight.shape[-1] // 2), dilation=dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        grad, x = grad.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1)                       # (B, H, W, C)
        taps = weight.permute(2, 3, 0, 1).contiguous()                                  # (k, k, C', C)
        grad_x, grad_taps = x.new_zeros(x.shape), torch.zeros_like(taps)
        for i, rows, rows_seen in _reach(weight.shape[2], ctx.dilation, x.shape[1]):
            for j, cols, cols_seen in _reach(weight.shape[3], ctx.dilation, x.shape[2]):
                part = grad[:, rows, cols].flatten(0, 2)                                # (P, C')
                seen = x[:, rows_seen, cols_seen]
                torch.mm(part.t(), seen.flatten(0, 2), out=grad_taps[i, j])
                grad_x[:, rows_seen, cols_seen] += torch.mm(part, taps[i, j]).view(seen.shape)
        return grad_x.permute(0, 3, 1, 2), grad_taps.permute(2, 3, 0, 1), None


def _reach(kernel: int, dilation: int, size: int) -> Iterator[tuple[int, slice, slice]]:
    """Each tap along one axis that sees anything: its index, the outputs for which it does, and what they see."""
    for tap in range(kernel):
        shift = (tap - kernel // 2) * dilation
        first, last = max(0, -shift), min(size, size - shift)
        if first < last:
            yield tap, slice(first, last), slice(first + shift, last + shift)


class DilatedConv2d(nn.Conv2d):
    """A dilated `nn.Conv2d` of stride 1 with 'same' zero padding; parameters and results are nn.Conv2d's.

    Args:
        in_channels, out_channels: of the convolution.
        kernel_size: odd side of the kernel.
        dilation: distance of its taps.
        bias: whether it has one.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=dilation * (kernel_size // 2), dilation=dilation,
                         bias=bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not (input.device.type == 'cpu' and input.dtype == weight.dtype and torch.is_grad_enabled()) or \
                torch.is_autocast_enabled('cpu') or torch.compiler.is_compiling():
            return super()._conv_forward(input, weight, bias)
        out = _DilatedConv.apply(input, weight, self.dilation[0])
        return out if bias is None else out + bias[:, None, None]
