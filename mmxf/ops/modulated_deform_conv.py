"""Modulated deformable convolution, DCNv2 (Zhu et al., arXiv 1811.11168): sampled points have weights.

``ones`` and ``columns`` are buffers of the compiled kernel, unused.
"""
from torch import Tensor

from .autocast import without_autocast
from .deform_columns import Geometry, backward_data, backward_weight, convolve


@without_autocast
def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write the convolution.

    Args:
        input: (B, C, H, W).
        weight: (O, C / group, kH, kW).
        bias: (O,), read when ``with_bias``.
        offset: (B, deformable_group * kH * kW * 2, h, w), y and x in input pixels for each sampled point.
        mask: (B, deformable_group * kH * kW, h, w).
        output: (B, O, h, w), written.
    """
    geometry = Geometry(
        (kernel_h, kernel_w),
        (stride_h, stride_w),
        (pad_h, pad_w),
        (dilation_h, dilation_w),
        group,
        deformable_group,
    )
    convolve(input, offset, mask, weight, geometry, output)
    if with_bias:
        output += bias.view(1, -1, 1, 1)


@without_autocast
def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Write all gradients into the five ``grad_`` tensors, which are zeros before."""
    geometry = Geometry(
        (kernel_h, kernel_w),
        (stride_h, stride_w),
        (pad_h, pad_w),
        (dilation_h, dilation_w),
        group,
        deformable_group,
    )
    backward_data(input, offset, mask, weight, grad_output, geometry, grad_input, grad_offset, grad_mask)
    grad_weight += backward_weight(input, offset, mask, weight, grad_output, geometry).to(grad_weight)
    if with_bias:
        grad_bias += grad_output.sum((0, 2, 3))
