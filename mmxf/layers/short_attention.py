"""Self-attention over a few tokens, as the joints of a body, for training on the CPU.

torch's fused attention works in tiles that are larger than such a sequence: its backward pass takes three times as long as plain
matrix products. Here plain products are used; only Q, K and V are kept, and the attention weights are made again.
"""
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Up to this many tokens plain products are faster.
SHORT = 32


class ShortAttention(torch.autograd.Function):
    """(N, L, 3 C) of queries, keys and values, each in heads, to (N, L, C); `apply(qkv, num_heads)`."""

    @staticmethod
    def forward(ctx, qkv: Tensor, num_heads: int) -> Tensor:
        ctx.save_for_backward(qkv)
        ctx.num_heads = num_heads
        q, k, v = _heads(qkv, num_heads)
        return _tokens(torch.bmm(_weights(q, k), v), qkv, num_heads)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        qkv, = ctx.saved_tensors
        n, length = qkv.shape[:2]
        q, k, v = _heads(qkv, ctx.num_heads)
        weights = _weights(q, k)
        grad = grad.reshape(n, length, ctx.num_heads, -1).transpose(1, 2).flatten(0, 1)
        grad_v = torch.bmm(weights.mT, grad)
        grad_logits = torch._softmax_backward_data(torch.bmm(grad, v.mT), weights, -1, weights.dtype)
        grad_logits *= q.shape[-1] ** -0.5
        out = torch.empty_like(qkv)
        parts = out.view(n, length, 3, ctx.num_heads, -1).permute(2, 0, 3, 1, 4)
        for part, value in zip(parts, (torch.bmm(grad_logits, k), torch.bmm(grad_logits.mT, q), grad_v)):
            part.copy_(value.view(part.shape))
        return out, None


def _heads(qkv: Tensor, num_heads: int) -> Tensor:
    """(3, N heads, L, C / heads), a copy."""
    n, length, width = qkv.shape
    return qkv.view(n, length, 3, num_heads, -1).permute(2, 0, 3, 1, 4).reshape(3, n * num_heads, length, -1)


def _weights(q: Tensor, k: Tensor) -> Tensor:
    """(N heads, L, L)."""
    return torch.bmm(q, k.mT).mul_(q.shape[-1] ** -0.5).softmax(-1)


def _tokens(out: Tensor, qkv: Tensor, num_heads: int) -> Tensor:
    n, length, width = qkv.shape
    return out.view(n, num_heads, length, -1).transpose(1, 2).reshape(n, length, width // 3)
