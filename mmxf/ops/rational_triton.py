"""Triton kernels of the group-wise rational function; `mmxf.ops.rational` calls them for tensors on a GPU.

A tensor is seen as (outer, groups, inner), contiguous. Forward reads the input once and writes once. Backward reads input and
output gradient once and writes the input gradient once; every program keeps its sums for the coefficients in registers, writes
them to a row of its own, and a second, tiny reduction adds the rows. No atomics, hence the same bits in every run on a device.

Programs with the same block of rows and different groups run side by side, so that whole rows of memory are read together.
Facts on where the published kernels lose time: FlashKAT (arXiv:2505.13813). Needs Triton 3.3 or newer (tuples in kernels).
"""
import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024                 # elements a program handles at once: 8 of each thread
PROGRAMS = 1056              # programs of a backward pass, at most: 8 of each multiprocessor of an H200


@triton.jit
def _tile(t, group, outer, inner, stride, INNER: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr):
    """Offsets of block number `t` of a group, and which of them exist.

    With INNER (a compile-time constant: channels last) blocks run over rows; with 0 they stay within one run of `inner`
    elements (channels first, where the runs are long).
    """
    if INNER > 0:
        place = t * BLOCK + tl.arange(0, BLOCK)
        row = place // INNER
        column = place % INNER
        mask = row < outer
        run: tl.constexpr = INNER        # known to the compiler, which then loads 16 bytes at once
    else:
        blocks = tl.cdiv(inner, BLOCK)
        row = t // blocks
        column = (t % blocks) * BLOCK + tl.arange(0, BLOCK)
        mask = column < inner
        run = inner
    if WIDE:
        return row.to(tl.int64) * stride + (group.to(tl.int64) * run + column), mask
    return row * stride + (group * run + column), mask


@triton.jit
def _coefficients(pointer, group, COUNT: tl.constexpr, ABSOLUTE: tl.constexpr):
    values = ()
    for k in tl.static_range(COUNT):
        value = tl.load(pointer + group * COUNT + k)
        if ABSOLUTE:
            value = tl.abs(value)
        values = values + (value,)
    return values


@triton.jit
def _horner(x, values, FIRST: tl.constexpr, COUNT: tl.constexpr):
    """values[FIRST] + values[FIRST + 1] x + ... (Horner)."""
    out = x * 0 + values[COUNT - 1]
    for k in tl.static_range(COUNT - 1 - FIRST):
        out = out * x + values[COUNT - 2 - k]
    return out


@triton.jit
def forward_kernel(x_ptr, a_ptr, b_ptr, y_ptr, outer, inner, stride, M: tl.constexpr, N: tl.constexpr, INNER: tl.constexpr,
                   BLOCK: tl.constexpr, WIDE: tl.constexpr, COMPUTE: tl.constexpr):
    group = tl.program_id(0)
    offsets, mask = _tile(tl.program_id(1), group, outer, inner, stride, INNER, BLOCK, WIDE)
    x = tl.load(x_ptr + offsets, mask=mask, other=0.0).to(COMPUTE)
    a = _coefficients(a_ptr, group, M, False)
    b = _coefficients(b_ptr, group, N, True)
    size = tl.abs(x)
    y = _horner(x, a, 0, M) / (_horner(size, b, 0, N) * size + 1.0)
    tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=mask)


@triton.jit
def backward_kernel(x_ptr, grad_ptr, a_ptr, b_ptr, dx_ptr, sums_ptr, outer, inner, stride, blocks, M: tl.constexpr,
                    N: tl.constexpr, INNER: tl.constexpr, BLOCK: tl.constexpr, WIDE: tl.constexpr, COMPUTE: tl.constexpr,
                    COEFFICIENTS: tl.constexpr):
    group = tl.program_id(0)
    a = _coefficients(a_ptr, group, M, False)
    b = _coefficients(b_ptr, group, N, True)
    slopes_a = (0.0,)
    for k in tl.static_range(1, M):
        slopes_a = slopes_a + (a[k] * k,)
    slopes_b = ()
    for k in tl.static_range(N):
        slopes_b = slopes_b + (b[k] * (k + 1),)
    sums = ()
    for _ in tl.static_range(M + N):
        sums = sums + (tl.zeros([BLOCK], dtype=COMPUTE),)
    for t in range(tl.program_id(1), blocks, tl.num_programs(1)):
        offsets, mask = _tile(t, group, outer, inner, stride, INNER, BLOCK, WIDE)
        x = tl.load(x_ptr + offsets, mask=mask, other=0.0).to(COMPUTE)
        grad = tl.load(grad_ptr + offsets, mask=mask, other=0.0).to(COMPUTE)
        size = tl.abs(x)
        inverse = 1.0 / (_horner(size, b, 0, N) * size + 1.0)
        weight = grad * inverse                                               # dL/dP
        y = _horner(x, a, 0, M) * inverse
        slope = tl.where(x < 0, -1.0, 1.0) * _horner(size, slopes_b, 0, N)    # dQ/dx; the sign of 0 is +1
        if M > 1:
            slope = _horner(x, slopes_a, 1, M) - slope * y
        else:
            slope = -slope * y
        tl.store(dx_ptr + offsets, (slope * weight).to(dx_ptr.dtype.element_ty), mask=mask)
        if COEFFICIENTS:
            new = (sums[0] + weight,)
            power = x
            for k in tl.static_range(1, M):
                new = new + (sums[k] + power * weight,)
                power = power * x
            weight = y * weight                                               # -dL/dQ
            power = size
            for k in tl.static_range(N):
                new = new + (sums[M + k] - power * weight,)
                power = power * size
            sums = new
    if COEFFICIENTS:
        place = (tl.program_id(1) * tl.num_programs(0) + group) * (M + N)
        for k in tl.static_range(M + N):
            tl.store(sums_ptr + place + k, tl.sum(sums[k], axis=0))


def _plan(x: Tensor, groups: int, inner: int, count: int) -> tuple[tuple, dict, int]:
    """Arguments of a launch on `x`, and the number of blocks of a group."""
    stride = groups * inner
    outer = x.numel() // stride
    runs = inner if inner <= 2 * BLOCK else 0
    blocks = triton.cdiv(outer * inner, BLOCK) if runs else outer * triton.cdiv(inner, BLOCK)
    compute = tl.float64 if x.dtype == torch.float64 else tl.float32
    return (outer, inner, stride), dict(INNER=runs, BLOCK=BLOCK, WIDE=x.numel() >= 2**31 - BLOCK * groups,
                                        COMPUTE=compute, num_warps=4), blocks


def forward(x: Tensor, numerator: Tensor, denominator: Tensor, inner: int) -> Tensor:
    """See `mmxf.ops.rational_torch.forward`."""
    y = torch.empty_like(x)
    groups = len(numerator)
    sizes, constants, blocks = _plan(x, groups, inner, 1)
    if x.numel():
        forward_kernel[(groups, blocks)](x, numerator, denominator, y, *sizes, M=numerator.shape[1],
                                         N=denominator.shape[1], **constants)
    return y


def backward(x: Tensor, grad: Tensor, numerator: Tensor, denominator: Tensor, inner: int,
             coefficients: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """See `mmxf.ops.rational_torch.backward`."""
    dx = torch.empty_like(x)
    groups, m, n = len(numerator), numerator.shape[1], denominator.shape[1]
    sizes, constants, blocks = _plan(x, groups, inner, 1)
    # Without sums to carry along a program takes one block; with them as many as keep the device busy.
    programs = min(blocks, max(1, PROGRAMS // groups)) if coefficients else blocks
    sums = numerator.new_zeros(programs if coefficients else 1, groups, m + n)
    if x.numel():
        backward_kernel[(groups, programs)](x, grad, numerator, denominator, dx, sums, *sizes, blocks, M=m, N=n,
                                            COEFFICIENTS=coefficients, **constants)
    total = sums.sum(0)
    return dx, total[:, :m], total[:, m:] * torch.where(denominator < 0, -1.0, 1.0)
