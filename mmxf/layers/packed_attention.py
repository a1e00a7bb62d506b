"""Self-attention from Q, K and V in one tensor, as one linear layer makes them, for training on the CPU.

Both functions keep that tensor and no second copy of its parts, and write its gradient in place, a few sequences at a time.

torch's fused attention works in tiles that are larger than a sequence of a few tokens, as the joints of a body: its backward
pass takes three times as long as plain matrix products. For such, plain products are used, the attention weights and the output
are made again in the backward pass, and the projection behind the attention is part of the function, as it alone needs the
output.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .lean_linear import linear, linear_gradients, matmul

# Up to this many tokens plain products are faster.
SHORT = 32
# Sequences at a time: so many that the products are large and the attention weights stay in the cache.
_SHORT_AT_ONCE, _LONG_AT_ONCE = 32, 4


def attend(qkv: Tensor, num_heads: int, project: nn.Linear) -> Tensor:
    """(N, L, 3 C) of queries, keys and values, each in heads, to (N, L, C): attention over L and the projection."""
    if torch.is_grad_enabled():
        if qkv.shape[1] <= SHORT:
            return ShortAttention.apply(qkv, num_heads, project.weight, project.bias)
        return linear(LongAttention.apply(qkv, num_heads), project)
    q, k, v = _views(qkv, num_heads)
    return linear(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(*qkv.shape[:2], -1), project)


class ShortAttention(torch.autograd.Function):
    """Attention and projection by plain products; `apply(qkv, num_heads, weight, bias)`."""

    @staticmethod
    def forward(ctx, qkv: Tensor, num_heads: int, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(qkv, weight)
        ctx.num_heads = num_heads
        out = qkv.new_empty(*qkv.shape[:2], qkv.shape[2] // 3)
        for part, target in zip(qkv.split(_SHORT_AT_ONCE), out.split(_SHORT_AT_ONCE)):
            q, k, v = _heads(part, num_heads)
            _write(target, torch.bmm(_weights(q, k), v), num_heads)
        return matmul(out, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
        qkv, weight = ctx.saved_tensors
        heads = ctx.num_heads
        # What the projection passes on first; of its own gradients the output is needed, which comes along below.
        grad_out = matmul(grad, weight.t())
        out, grad_qkv = torch.empty_like(grad_out), torch.empty_like(qkv)
        for part, seen, target, grads in zip(*(x.split(_SHORT_AT_ONCE) for x in (qkv, grad_out, out, grad_qkv))):
            q, k, v = _heads(part, heads)
            weights = _weights(q, k)
            _write(target, torch.bmm(weights, v), heads)
            seen = seen.view(len(part), -1, heads, q.shape[-1]).transpose(1, 2).flatten(0, 1)
            grad_logits = torch._softmax_backward_data(torch.bmm(seen, v.mT), weights, -1, weights.dtype)
            grad_logits *= q.shape[-1] ** -0.5
            values = torch.bmm(grad_logits, k), torch.bmm(grad_logits.mT, q), torch.bmm(weights.mT, seen)
            for view, value in zip(_views(grads, heads), values):
                view.copy_(value.view(view.shape))
        del grad_out
        return grad_qkv, None, *linear_gradients(out, grad)


class LongAttention(torch.autograd.Function):
    """torch's fused attention alone; `apply(qkv, num_heads)`."""

    @staticmethod
    def forward(ctx, qkv: Tensor, num_heads: int) -> Tensor:
        out, logsumexp = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*_views(qkv, num_heads))
        ctx.save_for_backward(qkv, out, logsumexp)
        ctx.num_heads = num_heads
        return out.transpose(1, 2).reshape(*qkv.shape[:2], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        qkv, out, logsumexp = ctx.saved_tensors
        grad = grad.reshape(*out.transpose(1, 2).shape).transpose(1, 2)
        grad_qkv = torch.empty_like(qkv)
        for part, *others, grads in zip(*(x.split(_LONG_AT_ONCE) for x in (qkv, grad, out, logsumexp, grad_qkv))):
            seen, made, total = others
            values = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                seen, *_views(part, ctx.num_heads), made, total, 0.0, False)
            for view, value in zip(_views(grads, ctx.num_heads), values):
                view.copy_(value)
        return grad_qkv, None


def _views(qkv: Tensor, num_heads: int) -> Tensor:
    """(3, N, heads, L, C / heads), no copy."""
    n, length = qkv.shape[:2]
    return qkv.view(n, length, 3, num_heads, -1).permute(2, 0, 3, 1, 4)


def _heads(qkv: Tensor, num_heads: int) -> Tensor:
    """(3, N heads, L, C / heads), a copy."""
    return _views(qkv, num_heads).flatten(1, 2)


def _weights(q: Tensor, k: Tensor) -> Tensor:
    """(N heads, L, L)."""
    return torch.bmm(q, k.mT).mul_(q.shape[-1] ** -0.5).softmax(-1)


def _write(target: Tensor, values: Tensor, num_heads: int) -> None:
    """(N heads, L, C / heads) into (N, L, C)."""
    n, length = target.shape[:2]
    target.view(n, length, num_heads, -1).copy_(values.view(n, num_heads, length, -1).transpose(1, 2))
