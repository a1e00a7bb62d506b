"""A pre-norm transformer block in training on the CPU, some thousand tokens at a time.

Within a block sequences do not see one another, so a few of them go through all of it, forwards and backwards, and what is used
for a moment stays small. Kept for the backward pass are the block's input, queries, keys and values, what the MLP sees and its
hidden activations before GELU; whatever a pass over memory gives back is made again: layer norms, a change of the axes
before the block, GELU, what drop path leaves, the attention over short sequences.
"""
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .drop_path import kept_rows
from .lean_linear import matmul
from .packed_attention import attention, attention_backward

# Tokens that go through together: enough for the products to be fast. Where that is all of them, half of them do, so that what is
# used for a moment stays small beside what is kept: with the C library's heap that counts, as holes in it fit nothing else.
_TOKENS = 4096


def swap(x: Tensor, count: int) -> Tensor:
    """(B count, L, C) to (B L, count, C): joints of frames to frames of joints, and back."""
    return x.view(-1, count, *x.shape[1:]).transpose(1, 2).reshape(-1, count, x.shape[-1])


def lean_block(x: Tensor, attention_norm: nn.LayerNorm, qkv: nn.Linear, project: nn.Linear, mlp_norm: nn.LayerNorm,
               first: nn.Linear, second: nn.Linear, *, num_heads: int, drop_path: float = 0.0, before: nn.LayerNorm | None = None,
               count: int = 0, keep_hidden: bool = True) -> Tensor:
    """Attention over L and MLP, each around a bypass.

    Args:
        x: (N, L, C); with `before` (B count, L', C), which goes through that norm and `swap` first.
        num_heads: of the attention.
        drop_path: probability that a sequence skips a branch.
        before, count: see `x`.
        keep_hidden: False makes the MLP's hidden activations again: less memory, more time.

    Returns:
        (N, L, C).
    """
    rows = len(x) if before is None else len(x) // count * x.shape[1]
    dropped = [kept_rows(rows, drop_path, x.device).tolist() if drop_path > 0 else None for _ in range(2)]
    plan = _Plan(num_heads, attention_norm.eps, mlp_norm.eps, 0.0 if before is None else before.eps, count, *dropped,
                 1 / (1 - drop_path) if drop_path < 1 else 0.0, keep_hidden)
    norms = (None, None) if before is None else (before.weight, before.bias)
    return _Block.apply(x.contiguous(), plan, *norms, *(
        p for part in (attention_norm, qkv, project, mlp_norm, first, second) for p in (part.weight, part.bias)))


@dataclass
class _Plan:
    num_heads: int
    attention_eps: float
    mlp_eps: float
    before_eps: float
    count: int                          # 0: no norm and no change of axes before the block
    kept_by_attention: list[int] | None     # rows, in order; None: all
    kept_by_mlp: list[int] | None
    factor: float                       # of what the branches give
    keep_hidden: bool

    def shape(self, source: Tensor) -> tuple[int, int, int]:
        """(N, L, C) of the block."""
        n, length, channels = source.shape
        return (n // self.count * length, self.count, channels) if self.count else (n, length, channels)

    def parts(self, source: Tensor) -> 'Iterator[_Part]':
        """Of the source."""
        n, length, _ = self.shape(source)
        if not self.count:
            step = _even(n, length)
            for start in range(0, n, step):
                yield self._part(source[start:start + step], start)
            return
        groups = source.view(-1, self.count, *source.shape[1:])                     # (B, count, L', C)
        inside = groups.shape[2]
        if inside * length > _TOKENS:
            step = _even(inside, length, len(groups) == 1)
            for i, group in enumerate(groups):
                for start in range(0, inside, step):
                    yield self._part(group[None, :, start:start + step], i * inside + start)
        else:
            step = _even(len(groups), inside * length)
            for start in range(0, len(groups), step):
                yield self._part(groups[start:start + step], start * inside)

    def _part(self, view: Tensor, start: int) -> '_Part':
        size = view.shape[0] * view.shape[2] if self.count else len(view)
        return _Part(view, slice(start, start + size), *(
            _Kept(rows, start, size) for rows in (self.kept_by_attention, self.kept_by_mlp)))


def _even(rows: int, tokens: int, alone: bool = True) -> int:
    """Rows of a part, so that all parts are about alike; `alone` where there are no other rows."""
    parts = max(1, round(rows * tokens / _TOKENS))
    if alone and parts == 1 and 2 * rows * tokens > _TOKENS:
        parts = 2
    return -(-rows // parts) or 1


class _Kept:
    """Rows of a part that a branch sees."""

    def __init__(self, rows: list[int] | None, start: int, size: int) -> None:
        index = range(size) if rows is None else [i - start for i in rows if start <= i < start + size]
        self.count, self.is_all = len(index), len(index) == size
        self.runs = [(0, size, 0)] if self.is_all else _runs(index)

    def __bool__(self) -> bool:
        return bool(self.runs)

    def take(self, x: Tensor) -> Tensor:
        """The rows of (n, L, C)."""
        if self.is_all:
            return x
        out = x.new_empty(self.count, *x.shape[1:])     # run by run, as index_select copies long rows with one thread
        for start, end, place in self.runs:
            out[place:place + end - start].copy_(x[start:end])
        return out

    def add(self, x: Tensor, update: Tensor, factor: float, out: Tensor) -> Tensor:
        """`x` with its rows plus `factor` times those of `update`, in `out`, which may be `x` itself."""
        if self.is_all:
            return torch.add(x, update, alpha=factor, out=out)
        if out is not x:
            out.copy_(x)
        for start, end, place in self.runs:
            out[start:end].add_(update[place:place + end - start], alpha=factor)
        return out


def _runs(index: list[int]) -> list[tuple[int, int, int]]:
    """(start, end, place of the start in the list) of numbers in a row."""
    runs: list[tuple[int, int, int]] = []
    for place, i in enumerate(index):
        if runs and runs[-1][1] == i:
            runs[-1] = (runs[-1][0], i + 1, runs[-1][2])
        else:
            runs.append((i, i + 1, place))
    return runs


@dataclass
class _Part:
    view: Tensor            # of the source
    rows: slice             # of (N, L, C)
    by_attention: _Kept
    by_mlp: _Kept


class _Gradients(list):
    """Of parameters, summed over parts."""

    def add(self, index: int, value: Tensor) -> None:
        self[index] = value if self[index] is None else self[index].add_(value)

    def add_linear(self, index: int, x: Tensor, grad: Tensor) -> None:
        """Of weight and bias, from the input (..., I) and the gradient of the output (..., O)."""
        x, grad = x.flatten(0, -2), grad.flatten(0, -2)
        if self[index] is None:
            self[index] = grad.t() @ x
        else:
            self[index].addmm_(grad.t(), x)
        self.add(index + 1, grad.sum(0))

    def through_norm(self, index: int, x: Tensor, grad: Tensor, statistics: tuple[Tensor, Tensor], scale: Tensor,
                     shift: Tensor) -> Tensor:
        """Of a layer norm's input."""
        grad, *own = torch.ops.aten.native_layer_norm_backward(grad, x, scale.shape, *statistics, scale, shift, [True] * 3)
        for i, value in enumerate(own):
            self.add(index + i, value)
        return grad


class _Weights(NamedTuple):
    """In the order of their gradients."""

    before: Tensor | None
    before_shift: Tensor | None
    scale: Tensor
    shift: Tensor
    qkv: Tensor
    qkv_bias: Tensor
    project: Tensor
    project_bias: Tensor
    mlp_scale: Tensor
    mlp_shift: Tensor
    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor


class _Block(torch.autograd.Function):
    @staticmethod
    def forward(ctx, source, plan, *parameters):
        w = _Weights(*parameters)
        out = source.new_empty(plan.shape(source))
        kept = []
        for part in plan.parts(source):
            x = part.view
            if plan.count:
                x = x.transpose(1, 2).reshape(-1, plan.count, x.shape[-1])
                x = torch.native_layer_norm(x, w.before.shape, w.before, w.before_shift, plan.before_eps)[0]
            packed = None, None, None
            if part.by_attention:
                normed = part.by_attention.take(x)
                normed = torch.native_layer_norm(normed, w.scale.shape, w.scale, w.shift, plan.attention_eps)[0]
                packed = matmul(normed, w.qkv, w.qkv_bias)
                seen, total = attention(packed, plan.num_heads)
                update = matmul(seen, w.project, w.project_bias)
                x = part.by_attention.add(x, update, plan.factor, out=x if plan.count else torch.empty_like(x))
                packed = packed, *((None, None) if total is None else (seen, total))
                del normed, seen, update
            target, hidden = out[part.rows], None
            if part.by_mlp:
                normed = torch.native_layer_norm(part.by_mlp.take(x), w.scale.shape, w.mlp_scale, w.mlp_shift, plan.mlp_eps)[0]
                hidden = matmul(normed, w.first, w.first_bias)
                part.by_mlp.add(x, matmul(F.gelu(hidden), w.second, w.second_bias), plan.factor, out=target)
            else:
                target.copy_(x)
            kept += [*packed, x, hidden if plan.keep_hidden else None]
        ctx.plan = plan
        ctx.save_for_backward(source, *parameters, *kept)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        plan = ctx.plan
        source, *saved = ctx.saved_tensors
        w, kept = _Weights(*saved[:14]), saved[14:]
        grad, grad_source = grad.contiguous(), torch.empty_like(source)
        sums = _Gradients([None] * 14)
        for number, (part, target) in enumerate(zip(plan.parts(source), plan.parts(grad_source))):
            packed, seen, total, middle, hidden = kept[5 * number:5 * number + 5]
            raw = part.view
            part_grad = grad[part.rows]
            if part.by_mlp:
                rows, update = part.by_mlp.take(middle), part.by_mlp.take(part_grad) * plan.factor
                normed, *stats = torch.native_layer_norm(rows, w.scale.shape, w.mlp_scale, w.mlp_shift, plan.mlp_eps)
                hidden = matmul(normed, w.first, w.first_bias) if hidden is None else hidden
                sums.add_linear(12, F.gelu(hidden), update)
                grad_hidden = matmul(update, w.second.t())
                torch.ops.aten.gelu_backward.grad_input(grad_hidden, hidden, grad_input=grad_hidden)
                sums.add_linear(10, normed, grad_hidden)
                update = sums.through_norm(8, rows, matmul(grad_hidden, w.first.t()), stats, w.mlp_scale, w.mlp_shift)
                part_grad = part.by_mlp.add(part_grad, update, 1.0, out=torch.empty_like(part_grad))
                del rows, normed, grad_hidden, hidden, update
            if plan.count:
                raw = raw.transpose(1, 2).reshape(-1, plan.count, raw.shape[-1])
                x, *before_stats = torch.native_layer_norm(raw, w.before.shape, w.before, w.before_shift, plan.before_eps)
            else:
                x = raw
            if part.by_attention:
                rows, update = part.by_attention.take(x), part.by_attention.take(part_grad) * plan.factor
                normed, *stats = torch.native_layer_norm(rows, w.scale.shape, w.scale, w.shift, plan.attention_eps)
                grad_packed, seen = attention_backward(matmul(update, w.project.t()), packed, plan.num_heads, seen, total)
                sums.add_linear(6, seen, update)
                sums.add_linear(4, normed, grad_packed)
                update = sums.through_norm(2, rows, matmul(grad_packed, w.qkv.t()), stats, w.scale, w.shift)
                part_grad = part.by_attention.add(part_grad, update, 1.0, out=torch.empty_like(part_grad))
                del rows, normed, grad_packed, seen, update
            if plan.count:
                part_grad = sums.through_norm(0, raw, part_grad, before_stats, w.before, w.before_shift)
                view = target.view.transpose(1, 2)
                view.copy_(part_grad.view(view.shape))
            else:
                target.view.copy_(part_grad)
        return grad_source, None, *sums
