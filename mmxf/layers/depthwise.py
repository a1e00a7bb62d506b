"""Depthwise convolution whose weight gradient is cheap on the CPU.

oneDNN takes it tap by tap over the whole map: 123 ms for 256 channels of 161x161 pixels under a 5x5 kernel (two Zen 4 cores,
channels last; 77 ms on two Sapphire Rapids cores), where the forward pass takes 8 (4). Row by row all it touches stays in the
cache: 27 ms (60) by torch's operators, 15 ms by one loop of numba's. Same sums, other order. Maps narrower than 64 pixels stay
with oneDNN: there its way is as fast, or up to twice.
"""
import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_BAND = 32      # rows that are padded at once
_WIDE = 64


class _DepthwiseConv(torch.autograd.Function):

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, padding=padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        (x, weight), p = ctx.saved_tensors, ctx.padding
        grad_x = grad_weight = None
        if ctx.needs_input_grad[0]:
            grad_x = torch.ops.aten.convolution_backward(
                grad, x, weight, None, [1, 1], [p, p], [1, 1], False, [0, 0], len(weight), [True, False, False])[0]
        if ctx.needs_input_grad[1]:
            grad_weight = _weight_gradient_function()(x, grad, weight.shape[-1], p)
        return grad_x, grad_weight, None


@functools.cache
def _weight_gradient_function() -> Callable[[Tensor, Tensor, int, int], Tensor]:
    """numba's loop, or torch's operators where there is no numba, or it cannot compile here."""
    try:
        from .depthwise_numba import weight_gradient
    except Exception:
        return _weight_gradient
    return weight_gradient


def _weight_gradient(x: Tensor, grad: Tensor, kernel: int, padding: int) -> Tensor:
    """x, grad (B, C, H, W) -> (C, 1, kernel, kernel)."""
    _, C, H, W = grad.shape
    total = x.new_zeros(kernel, kernel, C)
    for image, grad_rows in zip(x.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)):               # (H, W, C)
        for first in range(0, H, _BAND):
            last = min(first + _BAND, H)
            low, high = max(first - padding, 0), min(last + padding, H)
            band = F.pad(image[low:high], (0, 0, padding, padding, low - (first - padding), last + padding - high))
            for y in range(first, last):
                windows = band[y - first:y - first + kernel].unfold(1, W, 1)                    # (k, k, C, W)
                total += (windows.transpose(2, 3) * grad_rows[y]).sum(2)
    return total.permute(2, 0, 1).unsqueeze(1)


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise `nn.Conv2d` of stride 1 with 'same' zero padding; parameters and results are nn.Conv2d's.

    Args:
        channels: of input and output.
        kernel_size: odd side of the kernel.
        bias: whether it has one.
    """

    def __init__(self, channels: int, kernel_size: int, bias: bool = True) -> None:
        super().__init__(channels, channels, kernel_size, padding=kernel_size // 2, groups=channels, bias=bias)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not self._is_slow(input, weight):
            return super()._conv_forward(input, weight, bias)
        out = _DepthwiseConv.apply(input, weight, self.padding[0])
        return out if bias is None else out + bias[:, None, None]

    @staticmethod
    def _is_slow(x: Tensor, weight: Tensor) -> bool:
        return x.device.type == 'cpu' and x.dtype == weight.dtype == torch.float32 and \
            torch.is_grad_enabled() and weight.requires_grad and x.is_contiguous(memory_format=torch.channels_last) and \
            not torch.is_autocast_enabled('cpu') and not torch.compiler.is_compiling() and \
            x.shape[-1] >= _WIDE        # last: a file exported for all sizes must not ask
