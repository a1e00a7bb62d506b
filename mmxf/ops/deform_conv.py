"""Deformable convolution (Dai et al., arXiv 1703.06211), the three entry points that mmcv calls.

Sizes come as separate numbers, width before height; ``columns`` and ``ones`` are buffers of the compiled
kernel, unused.
"""
from torch import Tensor

from .autocast import without_autocast
from .deform_columns import Geometry, backward_data, backward_weight, convolve


@without_autocast
def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Write the convolution.

    Args:
        input: (B, C, H, W).
        weight: (O, C / group, kH, kW).
        offset: (B, deformable_group * kH * kW * 2, h, w), y and x in input pixels for each sampled point.
        output: (B, O, h, w), written.
        columns, ones: not used.
        kW, kH, dW, dH, padW, padH, dilationW, dilationH: kernel, stride, padding, dilation.
        group, deformable_group: splits of the channels.
        im2col_step: not used; work is cut by memory.
    """
    geometry = Geometry((kH, kW), (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    convolve(input, offset, None, weight, geometry, output)


@without_autocast
def deform_conv_backward_input(input: Tensor, offset: Tensor, gradOutput: Tensor, gradInput: Tensor,
                               gradOffset: Tensor, weight: Tensor, columns: Tensor, kW: int, kH: int, dW: int,
                               dH: int, padW: int, padH: int, dilationW: int, dilationH: int, group: int,
                               deformable_group: int, im2col_step: int) -> None:
    """Write the gradients by input and offset into ``gradInput`` (zeros before) and ``gradOffset``."""
    geometry = Geometry((kH, kW), (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    backward_data(input, offset, None, weight, gradOutput, geometry, gradInput, gradOffset, None)


@without_autocast
def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    gradOutput: Tensor,
    gradWeight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Add ``scale`` times the gradient by the weight to ``gradWeight``."""
    geometry = Geometry((kH, kW), (dH, dW), (padH, padW), (dilationH, dilationW), group, deformable_group)
    gradWeight += (scale * backward_weight(input, offset, None, gradWeight, gradOutput, geometry)).to(
        gradWeight
    )
