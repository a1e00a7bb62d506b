"""The MLP of a transformer without its hidden activations in memory, for training on the CPU.

Tokens go through layer norm, linear, GELU and linear some thousand at a time, in the backward pass, too, where the first product
is made again.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .lean_linear import gelu_mlp, is_lean, matmul

# Tokens that go through together.
_TOKENS = 2048


def chunked_mlp(x: Tensor, norm: nn.LayerNorm, first: nn.Linear, second: nn.Linear) -> Tensor:
    """``second(gelu(first(norm(x))))``; keeps `x` alone."""
    if not is_lean(x) or not torch.is_grad_enabled():
        return gelu_mlp(x, norm, first, second)
    return _Mlp.apply(x.contiguous(), norm.weight, norm.bias, norm.eps, first.weight, first.bias, second.weight, second.bias)


class _Mlp(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale, shift, eps, first, first_bias, second, second_bias):
        ctx.save_for_backward(x, scale, shift, first, first_bias, second)
        ctx.eps = eps
        out = torch.empty_like(x)
        for rows, target in zip(_parts(x), _parts(out)):
            normed = torch.native_layer_norm(rows, scale.shape, scale, shift, eps)[0]
            target.copy_(matmul(matmul(normed, first, first_bias, gelu=True), second, second_bias))
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, scale, shift, first, first_bias, second = ctx.saved_tensors
        grad_x = torch.empty_like(x)
        grad_first, grad_second = torch.zeros_like(first), torch.zeros_like(second)
        grad_bias, grad_scale, grad_shift = (torch.zeros_like(p) for p in (first_bias, scale, shift))
        for rows, seen, target in zip(_parts(x), _parts(grad), _parts(grad_x)):
            normed, mean, rstd = torch.native_layer_norm(rows, scale.shape, scale, shift, ctx.eps)
            hidden = matmul(normed, first, first_bias)
            grad_second.addmm_(seen.t(), F.gelu(hidden))
            grad_hidden = torch.ops.aten.gelu_backward(matmul(seen, second.t()), hidden)
            grad_first.addmm_(grad_hidden.t(), normed)
            grad_bias += grad_hidden.sum(0)
            part, part_scale, part_shift = torch.ops.aten.native_layer_norm_backward(
                matmul(grad_hidden, first.t()), rows, scale.shape, mean, rstd, scale, shift, [True, True, True])
            target.copy_(part)
            grad_scale += part_scale
            grad_shift += part_shift
        return grad_x, grad_scale, grad_shift, None, grad_first, grad_bias, grad_second, grad.flatten(0, -2).sum(0)


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    """(..., C) in parts of some thousand tokens (n, C): enough for the products to be fast."""
    rows = x.reshape(-1, x.shape[-1])
    return rows.split(-(-len(rows) // max(1, round(len(rows) / _TOKENS))) or 1)
