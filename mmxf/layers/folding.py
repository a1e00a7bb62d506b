"""Convolution, batch norm, sum and activation as one operation when nothing needs the difference.

In evaluation a batch norm is a fixed scale and shift per channel, so it can be multiplied into the weights of the convolution
before it. Doing that on the fly keeps every parameter name, keeps training untouched and saves a pass over each feature map.
On the CPU, oneDNN's convolution also takes the sum with a residual and the activation along, and keeps its weights packed.
"""
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from . import winograd

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {'none': lambda x: x, 'relu': F.relu, 'gelu': F.gelu}


def norm_affine(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Scale and shift, each (C,), that a batch norm applies in evaluation."""
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


class _Cache:
    """What was computed from weights, until they change. A copy of the model starts with an empty one."""

    def __init__(self) -> None:
        self.key, self.value = None, None

    def get(self, sources: list[Tensor], make: Callable):
        # An optimiser step and a loaded checkpoint change the version, a move to another device or type the rest.
        key = tuple((t.data_ptr(), -1 if t.is_inference() else t._version, t.dtype, t.device) for t in sources)
        if key != self.key:
            self.key, self.value = key, make()
        return self.value

    def __reduce__(self):
        return _Cache, ()


def _cached(module: nn.Module, name: str, sources: list[Tensor], make: Callable):
    return module.__dict__.setdefault(name, _Cache()).get(sources, make)


def _sources(conv: nn.Module, norm: _BatchNorm) -> list[Tensor]:
    tensors = (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    return [tensor for tensor in tensors if tensor is not None]


def _fold(conv: nn.Module, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    scale, shift = norm_affine(norm)
    weight = conv.weight * scale.reshape(-1, *[1] * (conv.weight.dim() - 1))
    return weight, shift if conv.bias is None else shift + conv.bias * scale


def folded_weights(conv: nn.Module, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution that equals ``norm(conv(x))`` in evaluation."""
    return _cached(conv, '_folded', _sources(conv, norm), lambda: _fold(conv, norm))


def forget_folded(module: nn.Module) -> None:
    """Frees what evaluation keeps: in training it would only take memory."""
    for part in module.modules():
        part.__dict__.pop('_folded', None)
        part.__dict__.pop('_packed', None)


def can_fold(norm: nn.Module) -> bool:
    """Whether a norm is a fixed affine map right now: evaluation mode, no gradient asked for."""
    return not norm.training and not torch.is_grad_enabled() and getattr(norm, 'running_var', None) is not None


def conv_norm(conv: nn.Module, norm: nn.Module, x: Tensor, activation: str = 'none', add: Tensor | None = None,
              into: bool = False) -> Tensor:
    """``activation(norm(conv(x)) + add)``, as one operation when `can_fold`.

    Args:
        conv: a convolution with zero padding.
        norm: the batch norm after it.
        x: its input.
        activation: 'none', 'relu' or 'gelu'.
        add: what is added before the activation, of the output's shape.
        into: `add` is not needed afterwards: the result may be written over it, which spares memory that is new to the cache.
    """
    if can_fold(norm):
        if _can_fuse(conv, x):
            return _fused(conv, norm, x, activation, add, into)
        out = conv._conv_forward(x, *folded_weights(conv, norm))
    else:
        out = norm(conv(x))
    return _ACTIVATIONS[activation](out if add is None else out + add)


def conv_norm_pair(first: tuple[nn.Conv2d, nn.Module], x: Tensor, second: tuple[nn.Conv2d, nn.Module], y: Tensor,
                   activation: str = 'none') -> Tensor:
    """``activation(norm(conv(x)) + norm(conv(y)))`` for two 1x1 convolutions, as the last one of a block and its shortcut.

    A sum of two linear maps is one map of both inputs: with folded norms one convolution writes the result once, where two
    write and read it three times, and a strided one, for which oneDNN copies its input, takes every other pixel instead.

    Args:
        first, second: a convolution without padding and groups, and the batch norm after it.
        x, y: their inputs (B, C, H, W); after the strides of the same size.
        activation: 'none', 'relu' or 'gelu'.
    """
    (conv, norm), (other, other_norm) = first, second
    if not (can_fold(norm) and can_fold(other_norm) and _can_fuse(conv, x) and _can_fuse(other, y)):
        return conv_norm(conv, norm, x, activation, add=conv_norm(other, other_norm, y), into=True)

    def make() -> tuple[Tensor, Tensor]:
        (weight, bias), (other_weight, other_bias) = _fold(conv, norm), _fold(other, other_norm)
        weight = torch.cat([weight, other_weight], dim=1)
        return torch.ops.mkldnn._reorder_convolution_weight(weight, *_POINTWISE, list(both.shape)), bias + other_bias

    x, y = (t[:, :, ::c.stride[0], ::c.stride[1]].permute(0, 2, 3, 1) for t, c in ((x, conv), (y, other)))
    both = x.new_empty(*x.shape[:3], x.shape[3] + y.shape[3])
    both[..., :x.shape[3]], both[..., x.shape[3]:] = x, y
    both = both.permute(0, 3, 1, 2)
    packed, bias = _cached(conv, '_packed', _sources(conv, norm) + _sources(other, other_norm), make)
    return torch.ops.mkldnn._convolution_pointwise(both, packed, bias, *_POINTWISE, activation, [], 'none')


_POINTWISE = [[0, 0], [1, 1], [1, 1], 1]    # padding, stride, dilation, groups


def _can_fuse(conv: nn.Module, x: Tensor) -> bool:
    """Whether oneDNN's fused convolution serves this one."""
    return _has_fused_ops() and isinstance(conv, (nn.Conv1d, nn.Conv2d)) and x.device.type == 'cpu' and \
        x.dtype == conv.weight.dtype == torch.float32 and not torch.is_autocast_enabled('cpu')


def _has_fused_ops() -> bool:
    """Whether this torch offers oneDNN's fused convolutions (the ones its compiler emits)."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, '_convolution_pointwise') and \
        torch.backends.mkldnn.enabled


def _fused(conv: nn.Conv1d | nn.Conv2d, norm: _BatchNorm, x: Tensor, activation: str, add: Tensor | None, into: bool) -> Tensor:
    if winograd.pays(conv):
        return _by_winograd(conv, norm, x, activation, add)
    if isinstance(conv, nn.Conv1d):     # a map of one row; its channels come last in memory, as in 2-D
        x, add = (t if t is None else t.unsqueeze(2).contiguous(memory_format=torch.channels_last) for t in (x, add))
        where = [[0, *conv.padding], [1, *conv.stride], [1, *conv.dilation], conv.groups]
    else:
        where = [list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups]

    def make() -> tuple[Tensor, Tensor]:
        weight, bias = _fold(conv, norm)
        weight = weight.unsqueeze(2) if weight.dim() == 3 else weight
        return torch.ops.mkldnn._reorder_convolution_weight(weight, *where, list(x.shape)), bias

    packed, bias = _cached(conv, '_packed', _sources(conv, norm), make)
    if add is None:
        out = torch.ops.mkldnn._convolution_pointwise(x, packed, bias, *where, activation, [], 'none')
        return out.squeeze(2) if isinstance(conv, nn.Conv1d) else out
    # oneDNN joins a sum with relu alone.
    joined = [packed, bias, *where, 'add', 1.0, 'relu' if activation == 'relu' else None, [], None]
    if into:
        out = torch.ops.mkldnn._convolution_pointwise_.binary(add, x, *joined)
    else:
        out = torch.ops.mkldnn._convolution_pointwise.binary(x, add, *joined)
    out = out.squeeze(2) if isinstance(conv, nn.Conv1d) else out
    return torch.ops.aten.gelu_(out) if activation == 'gelu' else out


def _by_winograd(conv: nn.Conv2d, norm: _BatchNorm, x: Tensor, activation: str, add: Tensor | None) -> Tensor:

    def make() -> tuple[Tensor, Tensor]:
        weight, bias = _fold(conv, norm)
        return winograd.pack(weight, winograd.count_tiles(x)), bias

    out = winograd.winograd(x, *_cached(conv, '_packed', _sources(conv, norm), make))
    out = out if add is None else out + add
    return out.contiguous(memory_format=torch.channels_last) if activation == 'none' else _ACTIVATIONS[activation](out)
