"""Convolution followed by batch norm, as one convolution when nothing needs the difference.

In evaluation a batch norm is a fixed scale and shift per channel, so it can be multiplied into the weights of the convolution
before it. Doing that on the fly keeps every parameter name, keeps training untouched and saves a pass over each feature map.
"""
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def norm_affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Scale and shift, each (C,), that a batch norm applies in evaluation."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def folded_weights(conv: nn.Module, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that equals ``norm(conv(x))`` in evaluation.

    The result is kept with the convolution until one of the tensors it was made of changes: an optimiser step, a loaded
    checkpoint or a move to another device or type all change the key.
    """
    sources = [t for t in (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
               if t is not None]
    key = tuple((t.data_ptr(), -1 if t.is_inference() else t._version, t.dtype, t.device) for t in sources)
    cached = conv.__dict__.get('_folded')
    if cached is None or cached[0] != key:
        scale, shift = norm_affine(norm)
        weight = conv.weight * scale.reshape(-1, *[1] * (conv.weight.dim() - 1))
        bias = shift if conv.bias is None else shift + conv.bias * scale
        cached = conv.__dict__['_folded'] = (key, weight, bias)
    return cached[1], cached[2]


def can_fold(norm: nn.Module) -> bool:
    """Whether a norm is a fixed affine map right now: evaluation mode, no gradient asked for."""
    return not norm.training and not torch.is_grad_enabled() and getattr(norm, 'running_var', None) is not None


def conv_norm(conv: nn.Module, norm: nn.Module, x: Tensor) -> Tensor:
    """``norm(conv(x))``, computed as one convolution when `can_fold`."""
    if can_fold(norm):
        return conv._conv_forward(x, *folded_weights(conv, norm))
    return norm(conv(x))
