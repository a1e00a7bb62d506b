"""The group-wise rational function in plain torch: closed-form gradients, worked off in blocks that stay in the cache.

A tensor is seen as (outer, groups, inner), contiguous. Temporaries are some blocks, whatever the size of the tensor.
"""
from collections.abc import Iterator

import torch
from torch import Tensor

# Elements of a block: 65,536 a thread, so that every operation is worth its start and all blocks stay in the caches.
BLOCK = 65536


def formula(x: Tensor, numerator: Tensor, denominator: Tensor, inner: int) -> Tensor:
    """The function as one expression that autograd differentiates: what compilers fuse by themselves.

    Args: see `forward`. Gradients follow the same conventions: the sign of 0 is +1.
    """
    kind = torch.promote_types(x.dtype, torch.float32)
    shape = (-1, len(numerator) * inner) if inner <= 1024 else (-1, len(numerator), inner)
    wide = x.reshape(shape).to(kind)
    size = torch.where(wide < 0, -wide, wide)
    a, b = numerator, torch.where(denominator < 0, -denominator, denominator)

    def spread(values: Tensor) -> Tensor:
        values = values.to(kind).t().unsqueeze(-1)                                 # (M + 1, G, 1)
        # One coefficient a channel makes sums over rows of the gradients' sums, which compilers vectorise.
        return values.expand(-1, -1, inner).flatten(1) if inner <= 1024 else values

    a, b = spread(a), spread(b)
    p = a[-1]
    for k in range(len(a) - 2, -1, -1):
        p = p * wide + a[k]
    q = b[-1]
    for k in range(len(b) - 2, -1, -1):
        q = q * size + b[k]
    return (p / (q * size + 1)).to(x.dtype).reshape(x.shape)


class _Coefficients:
    """Numerator and absolute denominator, and their derivatives, in the shape that blocks are broadcast against."""

    def __init__(self, numerator: Tensor, denominator: Tensor, inner: int, kind: torch.dtype) -> None:
        self.rows = inner <= 1024      # short runs: one coefficient a channel, else inner loops would be short
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
    """Index of each block of a tensor seen as (outer, groups * inner) or, for long runs, (outer, groups, inner)."""
    outer, groups, inner = shape
    limit = BLOCK * torch.get_num_threads()
    step = max(1, limit // (groups * inner))
    for start in range(0, outer, step):
        if rows or groups * inner <= limit:
            yield (slice(start, start + step),)
        else:
            across = max(1, limit // groups)
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

    def __call__(self, name: str, shape: torch.Size, zero: bool = False) -> Tensor:
        count = shape.numel()
        if name not in self.kept or len(self.kept[name]) < count:
            make = torch.zeros if zero else torch.empty
            self.kept[name] = make(count, dtype=self.kind, device=self.like.device)
        return self.kept[name][:count].view(shape)


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


def backward(x: Tensor, grad: Tensor, numerator: Tensor, denominator: Tensor, inner: int,
             coefficients: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients in closed form.

    Args:
        grad: dL/dy, contiguous, as `x`.
        coefficients: whether the gradients of the coefficients are wanted; zeros without.
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
    buffer = _Buffers(x, kind)
    sums = torch.zeros(m + n, groups, dtype=kind, device=x.device)
    held: torch.Size | None = None         # shape of the running sums of blocks
    for index in _blocks(shape, values.rows):
        block = source[index].to(kind)
        size = torch.abs(block, out=buffer('size', block.shape))
        q = _polynomial(size, values.b, buffer('q', block.shape))
        torch.addcmul(values.one, q, size, out=q)
        weight = torch.div(grads[index].to(kind), q, out=buffer('weight', block.shape))            # dL/dP
        y = _polynomial(block, values.a, buffer('y', block.shape)).div_(q)
        slope = torch.copysign(_polynomial(size, values.slopes_b, q), block, out=q)                # dQ/dx
        out = target[index] if dx.dtype == kind else buffer('dx', block.shape)
        _polynomial(block, values.slopes_a, out) if m > 1 else out.zero_()
        out.addcmul_(slope, y, value=-1).mul_(weight)
        if dx.dtype != kind:
            target[index].copy_(out)
        if coefficients:
            if held is not None and held != block.shape:          # the last block is smaller
                _add_up(sums, buffer, held, values.rows)
                held = None
            _accumulate(buffer, block, size, weight, y.mul_(weight), q, m, n, fresh=held is None)
            held = block.shape
    if held is not None:
        _add_up(sums, buffer, held, values.rows)
    sums = sums.to(numerator.dtype).t()
    return dx, sums[:, :m].contiguous(), sums[:, m:] * torch.where(denominator < 0, 1.0, -1.0)


def _accumulate(buffer: _Buffers, x: Tensor, size: Tensor, weight: Tensor, loss: Tensor, power: Tensor, m: int, n: int,
                fresh: bool) -> None:
    """Adds weight x^k (k < m) and loss |x|^k (k = 1 ... n) to the running sums; `power` may be overwritten."""
    held = [buffer(f'sum{k}', x.shape) for k in range(m + n)]
    if fresh:
        for one in held:
            one.zero_()
    held[0].add_(weight)
    for k in range(1, max(m, n + 1)):
        now = x if k == 1 else torch.mul(x if k == 2 else power, x, out=power)
        if k < m:
            held[k].addcmul_(weight, now)
        if k <= n:
            now = size if k == 1 else now if k % 2 == 0 else torch.abs(now, out=buffer('odd', x.shape))
            held[m + k - 1].addcmul_(loss, now)


def _add_up(sums: Tensor, buffer: _Buffers, shape: torch.Size, rows: bool) -> None:
    for k, total in enumerate(sums):
        block = buffer(f'sum{k}', shape)
        total += (block.sum(0).view(len(total), -1) if rows else block.sum(0)).sum(-1)
