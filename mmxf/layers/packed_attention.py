"""Self-attention from Q, K and V in one tensor, as one linear layer makes them, on the CPU.

No second copy of its parts is made, and its gradient is written in place, a few sequences at a time.

torch's fused attention works in tiles that are larger than a sequence of a few tokens, as the joints of a body: its backward
pass takes three times as long as plain matrix products. For such, plain products are used, and the attention weights and the
output are made again in the backward pass.
"""
import torch
from torch import Tensor

# Up to this many tokens plain products are faster.
SHORT = 32
# Sequences at a time: so many that the products are large and the attention weights stay in the cache.
_SHORT_AT_ONCE, _LONG_AT_ONCE = 64, 4


def attention(qkv: Tensor, num_heads: int) -> tuple[Tensor, Tensor | None]:
    """(N, L, 3 C) of queries, keys and values, each in heads, to (N, L, C), attention over L, outside autograd.

    Returns:
        The output, and the logarithms of the sums of the attention's weights, which the backward pass of long sequences needs;
        None where it makes all again.
    """
    if qkv.shape[1] > SHORT:
        out, total = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*_views(qkv, num_heads))
        return out.transpose(1, 2).reshape(*qkv.shape[:2], -1), total
    out = qkv.new_empty(*qkv.shape[:2], qkv.shape[2] // 3)
    for part, target in zip(qkv.split(_SHORT_AT_ONCE), out.split(_SHORT_AT_ONCE)):
        for (q, k, v), view in zip(_heads(part, num_heads), _heads(target, num_heads, 1)):
            view[0].copy_(torch.bmm(_weights(q, k), v))
    return out, None


def attention_backward(grad: Tensor, qkv: Tensor, num_heads: int, out: Tensor | None = None,
                       total: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The gradient (N, L, 3 C) of `qkv` from that of the output (N, L, C), and the output.

    Args:
        out, total: what `attention` gave; not needed for short sequences.
    """
    grad_qkv = torch.empty_like(qkv)
    if qkv.shape[1] > SHORT:
        heads = [x.view(*x.shape[:2], num_heads, -1).transpose(1, 2) for x in (grad, out)]
        for part, seen, made, sums, grads in zip(*(x.split(_LONG_AT_ONCE) for x in (qkv, *heads, total, grad_qkv))):
            values = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                seen, *_views(part, num_heads), made, sums, 0.0, False)
            for view, value in zip(_views(grads, num_heads), values):
                view.copy_(value)
        return grad_qkv, out
    out = torch.empty_like(grad)
    for part, seen, target, grads in zip(*(x.split(_SHORT_AT_ONCE) for x in (qkv, grad, out, grad_qkv))):
        parts = zip(_heads(part, num_heads), _heads(seen, num_heads, 1), _heads(target, num_heads, 1), _heads(grads, num_heads))
        for (q, k, v), (seen_head,), (view,), (grad_q, grad_k, grad_v) in parts:
            weights = _weights(q, k)
            view.copy_(torch.bmm(weights, v))
            grad_logits = torch._softmax_backward_data(torch.bmm(seen_head, v.mT), weights, -1, weights.dtype)
            grad_logits *= q.shape[-1] ** -0.5
            grad_q.copy_(torch.bmm(grad_logits, k))
            grad_k.copy_(torch.bmm(grad_logits.mT, q))
            grad_v.copy_(torch.bmm(weights.mT, seen_head))
    return grad_qkv, out


def _views(qkv: Tensor, num_heads: int) -> Tensor:
    """(3, N, heads, L, C / heads), no copy."""
    n, length = qkv.shape[:2]
    return qkv.view(n, length, 3, num_heads, -1).permute(2, 0, 3, 1, 4)


def _heads(x: Tensor, num_heads: int, parts: int = 3) -> Tensor:
    """(heads, parts, N, L, C / heads), no copy: batched products of one head read it where it is."""
    n, length = x.shape[:2]
    return x.view(n, length, parts, num_heads, -1).permute(3, 2, 0, 1, 4)


def _weights(q: Tensor, k: Tensor) -> Tensor:
    """(N, L, L)."""
    return torch.bmm(q, k.mT).mul_(q.shape[-1] ** -0.5).softmax(-1)
