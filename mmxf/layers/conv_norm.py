"""Convolution, batch norm, activation: the block that kMaX-DeepLab is made of.

Differs from mmcv's ConvModule in the initialisations that DeepLab2's models use, in 1-D and 2-D under one name, and in folding
the norm into the convolution whenever no gradient is needed (`mmxf.layers.folding`).
"""
import math

import torch.nn.functional as F
from torch import Tensor, nn

from .depthwise import DepthwiseConv2d
from .dilated import DilatedConv2d
from .folding import conv_norm

# DeepLab2's batch norm: TensorFlow's momentum 0.99 is torch's 0.01.
NORM_EPS, NORM_MOMENTUM = 1e-3, 0.01


def trunc_normal_(weight: Tensor, std: float) -> None:
    """Normal of the given std, cut at two std (TensorFlow's truncated normal)."""
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


class ConvNorm(nn.Module):
    """``act(norm(conv(x)))`` with 'same' padding.

    Args:
        in_channels, out_channels, kernel_size, groups, dilation: of the convolution.
        dims: 1 for sequences (B, C, N), 2 for maps (B, C, H, W).
        bias: whether the convolution has one.
        norm: whether a batch norm follows.
        gelu: whether a GELU follows.
        norm_init: first value of the norm's weight; 0 closes a residual branch at the start.
        init_std: std of the truncated normal; default sqrt(2 / in_channels).
        xavier: uniform Xavier instead (depthwise convolutions).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 1, *, dims: int = 2, groups: int = 1,
                 dilation: int = 1, bias: bool = False, norm: bool = True, gelu: bool = False, norm_init: float = 1.0,
                 init_std: float | None = None, xavier: bool = False) -> None:
        super().__init__()
        if dims == 2 and groups == in_channels == out_channels and dilation == 1:
            self.conv = DepthwiseConv2d(in_channels, kernel_size, bias=bias)
        elif dims == 2 and groups == 1 and dilation > 1:
            self.conv = DilatedConv2d(in_channels, out_channels, kernel_size, dilation, bias=bias)
        else:
            conv = {1: nn.Conv1d, 2: nn.Conv2d}[dims]
            self.conv = conv(in_channels, out_channels, kernel_size, padding=dilation * (kernel_size // 2),
                             dilation=dilation, groups=groups, bias=bias)
        self.norm = None
        if norm:
            self.norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[dims](out_channels, eps=NORM_EPS,
                                                                     momentum=NORM_MOMENTUM)
            nn.init.constant_(self.norm.weight, norm_init)
        self.gelu = gelu
        if xavier:
            nn.init.xavier_uniform_(self.conv.weight)
        else:
            trunc_normal_(self.conv.weight, math.sqrt(2 / in_channels) if init_std is None else init_std)
        if bias:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor, add: Tensor | None = None, into: bool = False) -> Tensor:
        """(B, C, ...) -> (B, out_channels, ...); `add` is added before the activation, with `into` perhaps in its memory."""
        if self.norm is not None:
            return conv_norm(self.conv, self.norm, x, 'gelu' if self.gelu else 'none', add, into)
        x = self.conv(x) if add is None else self.conv(x) + add
        return F.gelu(x) if self.gelu else x
