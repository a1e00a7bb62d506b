"""The group-wise rational function in plain torch: closed-form gradients, worked off block by block with buffers used again.

A tensor is seen as (outer, groups, inner), contiguous. Temporaries are a few blocks, whatever the size of the tensor. `Fused` is
the same for compilers, which see all of it as one expression.
"""
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# Elements of a block for each thread: large enough that starting two threads some fifty times does not count.
BLOCK = 131072
# Runs of a group up to this get one coefficient for each channel: inner loops would be short otherwise.
SHORT = 1024


class _Coefficients:
    """Numerator and absolute denominator, and their derivatives, in the shape that blocks are broadcast against."""

    def __init__(self, numerator: Tensor, denominator: Tensor, inner: int, kind: torch.dtype) -> None:
        self.rows = inner <= SHORT
        size = denominator.abs()
        m, n = numerator.shape[1], denominator.shape[1]
        self.a, self.b = self._spread(numerator, inner, kind), self._spread(size, inner, kind)
        self.slopes_a = self._spread(numerator * torch.arange(m, device=size.device), inner, kind)[1:]
        self.slopes_b = self._spread(size * torch.arange(1, n + 1, device=size.device), inner, kind)
        self.one = torch.ones((), dtype=kind, device=size.device)

    def _spread(self, values: Tensor, inner: int, kind: torch.dtype) -> tuple[Tensor, ...]:
        values = values.to(kind).t()                                               # (M + 1, G)
        return (values.repeat_interleave(inner, 1) if self.rows else values.unsqueeze(-1)).contiguous().unbind(0)


def _blocks(shape: tuple[int, int, int], rows: bool) -> Iterator[tuple]:
    """Index of each block of a tensor seen as (outer, groups * inner) or, for long runs, (outer, groups, inner).

    At least three where the tensor can be parted, so that four buffers stay below twice the tensor.
    """
    outer, groups, inner = shape
    threads = torch.get_num_threads()
    limit = max(1, min(BLOCK * threads, outer * groups * inner // 3))
    step = max(1, limit // (groups * inner))
    if step > threads:
        step = -(-outer // (-(-outer // step)))              # blocks of about one size
        step = -(-step // threads) * threads                 # each thread keeps its own rows, see `_Sums`
    across = max(1, limit // groups)
    for start in range(0, outer, step):
        if rows or groups * inner <= limit:
            yield (slice(start, start + step),)
        else:
            for left in range(0, inner, across):
                yield slice(start, start + step), slice(None), slice(left, left + across)


def _polynomial(x: Tensor, values: tuple[Tensor, ...], out: Tensor) -> Tensor:
    """values[0] + values[1] x + ... into `out`."""
    if len(values) == 1:
        return out.copy_(values[0].expand_as(out))
    torch.addcmul(values[-2], x, values[-1], out=out)
    for value in values[-3::-1]:
        torch.addcmul(value, out, x, out=out)
    return out


class _Buffers:
    """Blocks of memory that are used again and again, of the right shape for the block at hand."""

    def __init__(self, like: Tensor, kind: torch.dtype) -> None:
        self.like, self.kind, self.kept = like, kind, {}

    def __call__(self, name: str, shape: torch.Size) -> Tensor:
        count = shape.numel()
        if name not in self.kept or len(self.kept[name]) < count:
            self.kept[name] = torch.empty(count, dtype=self.kind, device=self.like.device)
        return self.kept[name][:count].view(shape)


class _Sums:
    """Sums of blocks for each group.

    A block is summed in as many parts as there are threads, each part by the thread that computes it: summed the other way, by
    channels, every block would move from one core's cache to the other's and back.
    """

    def __init__(self, groups: int, inner: int, rows: bool) -> None:
        self.groups, self.inner, self.rows = groups, inner, rows
        self.kept: dict[int, list[Tensor]] = {}

    def add(self, k: int, block: Tensor) -> None:
        """Adds a block, (rows, C) or (rows, G, run), to the k-th sum."""
        if self.rows:
            threads = torch.get_num_threads()
            parts = threads if len(block) % threads == 0 else 1
            total = block.view(parts, -1, block.shape[1]).sum(1)
        else:
            total = block.sum(2)
        self.kept.setdefault(k, []).append(total)                                  # (parts, C) or (rows, G)

    def result(self, count: int, like: Tensor) -> Tensor:
        """(G, count), of the type of `like`."""
        if not self.kept:
            return like.new_zeros(self.groups, count)
        sums = torch.stack([torch.cat(self.kept[k]).sum(0) for k in range(count)])
        if self.rows:
            sums = sums.view(count, self.groups, self.inner).sum(2)
        return sums.to(like.dtype).t()


def _view(x: Tensor, shape: tuple[int, int, int], rows: bool) -> Tensor:
    return x.view(shape[0], shape[1] * shape[2]) if rows else x.view(shape)


def forward(x: Tensor, numerator: Tensor, denominator: Tensor, inner: int) -> Tensor:
    """P(x) / Q(x) with Q = 1 + sum |b_k| |x|^k.

    Args:
        x: any contiguous shape whose memory is (outer, G, inner).
        numerator: (G, M + 1) float32 (float64 for x of float64): a_0 ... a_M of each group.
        denominator: (G, N), of the same type: b_1 ... b_N.
        inner: contiguous elements of one group.

    Returns:
        of the shape and type of `x`; computed in float32 at least.
    """
    kind = torch.promote_types(x.dtype, torch.float32)
    values = _Coefficients(numerator, denominator, inner, kind)
    shape = (x.numel() // (len(numerator) * inner), len(numerator), inner)
    y = torch.empty_like(x)
    source, target, buffer = _view(x, shape, values.rows), _view(y, shape, values.rows), _Buffers(x, kind)
    for index in _blocks(shape, values.rows):
        block = source[index].to(kind)
        out = target[index] if y.dtype == kind else buffer('p', block.shape)
        size = torch.abs(block, out=buffer('size', block.shape))
        q = _polynomial(size, values.b, buffer('q', block.shape))
        torch.addcmul(values.one, q, size, out=q)
        _polynomial(block, values.a, out).div_(q)
        if y.dtype != kind:
            target[index].copy_(out)
    return y


def backward(x: Tensor, grad: Tensor, numerator: Tensor, denominator: Tensor, inner: int, coefficients: bool = True,
             y: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients in closed form.

    Args:
        grad: dL/dy, contiguous, as `x`.
        coefficients: whether the gradients of the coefficients are wanted; zeros without.
        y: the result of `forward`, which saves computing it again; not taken where it is less exact than the computation.
        x, numerator, denominator, inner: as in `forward`.

    Returns:
        dL/dx, of the type of `x`; dL/da (G, M + 1) and dL/db (G, N), of the coefficients' type. The sign of 0 is +1, of x as of
        b, so that coefficients that start at 0 learn.
    """
    kind = torch.promote_types(x.dtype, torch.float32)
    values = _Coefficients(numerator, denominator, inner, kind)
    groups, m, n = len(numerator), numerator.shape[1], denominator.shape[1]
    shape = (x.numel() // (groups * inner), groups, inner)
    dx = torch.empty_like(x)
    source, grads, target = (_view(t, shape, values.rows) for t in (x, grad, dx))
    results = _view(y, shape, values.rows) if y is not None and y.dtype == kind else None
    buffer, sums = _Buffers(x, kind), _Sums(groups, inner, values.rows)
    for index in _blocks(shape, values.rows):
        block = source[index].to(kind)
        size = torch.abs(block, out=buffer('size', block.shape))
        q = _polynomial(size, values.b, buffer('q', block.shape))
        torch.addcmul(values.one, q, size, out=q)
        weight = torch.div(grads[index], q, out=buffer('weight', block.shape))                     # dL/dP
        loss = buffer('loss', block.shape)                                                         # -dL/dQ
        if results is None:
            _polynomial(block, values.a, loss).div_(q).mul_(weight)
        else:
            torch.mul(weight, results[index], out=loss)
        slope = torch.copysign(_polynomial(size, values.slopes_b, q), block, out=q)                # dQ/dx
        out = target[index] if dx.dtype == kind else buffer('dx', block.shape)
        _polynomial(block, values.slopes_a, out).mul_(weight) if m > 1 else out.zero_()
        out.addcmul_(slope, loss, value=-1)
        if dx.dtype != kind:
            target[index].copy_(out)
        if coefficients:
            for k in range(m):                                                                     # sums of weight x^k
                sums.add(k, weight if k == 0 else weight.mul_(block))
            for k in range(n):                                                                     # of loss |x|^(k + 1)
                sums.add(m + k, loss.mul_(size))
    total = sums.result(m + n, numerator)
    return dx, total[:, :m].contiguous(), total[:, m:] * torch.where(denominator < 0, 1.0, -1.0)


def formula(x: Tensor, numerator: Tensor, denominator: Tensor, inner: int) -> Tensor:
    """The function as one expression that autograd can differentiate, with the same conventions. Args: see `forward`."""
    wide = _wide(x, denominator, inner)
    size = torch.where(wide < 0, -wide, wide)                                      # the slope at 0 is +1
    p, q = _fraction(wide, size, _columns(numerator), _columns(torch.where(denominator < 0, -denominator, denominator)))
    return (p / q).to(x.dtype).reshape(x.shape)


class Fused(torch.autograd.Function):
    """`forward` and `backward` as one expression each, which compilers fuse into few loops.

    Sums run along memory first, within a row's group, then over rows: a compiler's loop down the rows of a few columns would
    miss the cache at each step.
    """

    @staticmethod
    def forward(ctx, x: Tensor, numerator: Tensor, denominator: Tensor, inner: int) -> Tensor:
        ctx.save_for_backward(x, numerator, denominator)
        ctx.inner = inner
        return formula(x, numerator, denominator, inner)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        x, numerator, denominator = ctx.saved_tensors
        wide = _wide(x, denominator, ctx.inner)
        size = wide.abs()
        a, b = _columns(numerator), _columns(denominator.abs())
        p, q = _fraction(wide, size, a, b)
        weight = _wide(grad, denominator, ctx.inner) / q
        loss = weight * (p / q)
        slope_p = _horner(wide, [a[k] * k for k in range(1, len(a))]) if len(a) > 1 else torch.zeros_like(wide)
        slope_q = _horner(size, [b[k] * (k + 1) for k in range(len(b))])
        dx = weight * slope_p - loss * torch.where(wide < 0, -slope_q, slope_q)
        sums = []
        for k in range(len(a)):
            weight = weight * wide if k else weight
            sums.append(weight.sum(-1).sum(0))                                     # (outer, G, inner) -> (G,)
        for _ in range(len(b)):
            loss = loss * size
            sums.append(loss.sum(-1).sum(0))
        total = torch.stack(sums, 1).to(numerator.dtype)
        sign = torch.where(denominator < 0, 1.0, -1.0).to(total.dtype)
        return dx.to(x.dtype).reshape(x.shape), total[:, :len(a)], total[:, len(a):] * sign, None


def _wide(x: Tensor, denominator: Tensor, inner: int) -> Tensor:
    """(outer, G, inner), float32 at least."""
    return x.reshape(-1, len(denominator), inner).to(torch.promote_types(x.dtype, torch.float32))


def _columns(values: Tensor) -> Tensor:
    """(G, K) -> (K, G, 1)."""
    return values.t().unsqueeze(-1)


def _horner(x: Tensor, values: Sequence[Tensor]) -> Tensor:
    """values[0] + values[1] x + ..."""
    out = values[-1].expand_as(x)
    for value in values[-2::-1]:
        out = out * x + value
    return out


def _fraction(wide: Tensor, size: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    return _horner(wide, a.unbind()), _horner(size, b.unbind()) * size + 1
