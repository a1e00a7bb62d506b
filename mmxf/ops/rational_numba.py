"""The group-wise rational function on the CPU in one pass over memory, compiled by numba.

Without numba `rational` takes the torch path. Functions are written out for each pair of orders, so that LLVM sees neither loops
over powers nor arrays of coefficients in the loop over elements, and makes SIMD code of it.

The work is parted among torch's threads by fixed bounds, so that sums are the same bits in every run with as many threads.
numba's own threads are not used: two calls at once abort the process with its default ones, and with others a fork hangs.
"""
import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from . import threads
from .jit import jit

# Elements of a part at least: handing one to a thread takes as long as some ten thousand elements.
PART = 65536
# Elements that are summed in their own type before the sum is added to one in float64.
RUN = 4096
# Elements of half precision that are made float32 at a time, for each thread; at most a third of the tensor.
BLOCK = 131072


def _horner(x: str, coefficients: list[str]) -> str:
    text = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        text = f'({text} * {x} + {coefficient})'
    return text


def source(m: int, n: int) -> str:
    """Python code of ``forward`` and ``backward`` for orders m and n.

    Both take arrays of one dimension, the first element of which is the `first` of the whole tensor; runs of `inner` elements
    belong to one group. `forward` writes y. `backward` writes dx and adds to sums (G, m + 1 + n): of grad / Q times x^k, and of
    grad F / Q times |x|^k.
    """
    a, b = [f'a{k}' for k in range(m + 1)], [f'b{k}' for k in range(1, n + 1)]
    p, q = _horner('v', a), f'({_horner("s", b)} * s + one)'
    slope_p = _horner('v', [f'c{k}' for k in range(1, m + 1)]) if m else 'one * 0'
    slope_q = _horner('s', [f'd{k}' for k in range(1, n + 1)])
    lines = [
        'def forward(x, y, numerator, denominator, inner, first):',
        '    one = x.dtype.type(1)',
        '    start = 0',
        '    while start < x.size:',
        '        run = (first + start) // inner',
        '        end = min(x.size, (run + 1) * inner - first)',
        '        g = run % len(numerator)',
        *(f'        {name} = numerator[g, {k}]' for k, name in enumerate(a)),
        *(f'        {name} = abs(denominator[g, {k}])' for k, name in enumerate(b)),
        '        source, target = x[start:end], y[start:end]',
        '        for i in range(source.size):',
        '            v = source[i]',
        '            s = abs(v)',
        f'            target[i] = {p} / {q}',
        '        start = end',
        '',
        'def backward(x, grad, dx, numerator, denominator, sums, inner, first):',
        '    one = x.dtype.type(1)',
        '    start = 0',
        '    while start < x.size:',
        '        run = (first + start) // inner',
        f'        end = min(x.size, (run + 1) * inner - first, start + {RUN})',
        '        g = run % len(numerator)',
        *(f'        {name} = numerator[g, {k}]' for k, name in enumerate(a)),
        *(f'        {name} = abs(denominator[g, {k}])' for k, name in enumerate(b)),
        *(f'        c{k} = a{k} * x.dtype.type({k})' for k in range(1, m + 1)),
        *(f'        d{k} = b{k} * x.dtype.type({k})' for k in range(1, n + 1)),
        *(f'        t{k} = x.dtype.type(0)' for k in range(m + 1 + n)),
        '        source, grads, target = x[start:end], grad[start:end], dx[start:end]',
        '        for i in range(source.size):',
        '            v = source[i]',
        '            s = abs(v)',
        f'            r = one / {q}',
        '            w = grads[i] * r',                                   # dL/dP
        f'            l = w * ({p} * r)',                                 # -dL/dQ
        f'            slope = {slope_q}',
        f'            target[i] = w * {slope_p} - l * (-slope if v < 0 else slope)',
        '            t0 += w',
        *(line for k in range(1, m + 1) for line in ('            w *= v', f'            t{k} += w')),
        *(line for k in range(1, n + 1) for line in ('            l *= s', f'            t{m + k} += l')),
        *(f'        sums[g, {k}] += t{k}' for k in range(m + 1 + n)),
        '        start = end',
    ]
    return '\n'.join(lines)


@functools.cache
def _compiled(m: int, n: int, kind: torch.dtype) -> tuple[Callable, Callable]:
    """``forward`` and ``backward`` of `source`, for float32 or float64, as machine code that runs without Python's lock."""
    from numba import types

    real = types.float32 if kind == torch.float32 else types.float64
    line, table, sums = real[::1], real[:, ::1], types.float64[:, ::1]
    ends = (types.intp, types.intp)
    # The file name is this one's: numba's cache is beside it, and void once it changes.
    functions: dict = {'__name__': __name__}
    exec(compile(source(m, n), __file__, 'exec'), functions)

    def make(name: str, *arguments) -> Callable:
        # A multiplication and an addition may be one instruction, sums have any order; NaN and infinity are kept.
        fastmath = {'contract'} | ({'reassoc'} if name == 'backward' else set())
        function = functions[name]
        function.__qualname__ = f'{name}_{m}_{n}'
        return jit(function, types.void(*arguments), error_model='numpy', fastmath=fastmath)

    return make('forward', line, line, table, table, *ends), make('backward', line, line, line, table, table, sums, *ends)


def functions(m: int, n: int, dtype: torch.dtype) -> tuple[Callable, Callable]:
    """The compiled functions that tensors of a type take; compiled at the first call (seconds) or read from disk.

    Raises:
        Exception: of any type, where numba is missing, does not fit the installed NumPy, or cannot compile here.
    """
    return _compiled(m, n, torch.promote_types(dtype, torch.float32))


def bounds(count: int, number: int) -> list[tuple[int, int]]:
    """First and last element of each part of a tensor of `count` elements."""
    parts = max(1, min(number, count // PART))
    step = (-(-count // parts) + 63) // 64 * 64               # whole lines of the cache
    return [(start, min(start + step, count)) for start in range(0, count, step)]


def _flat(x: Tensor) -> np.ndarray:
    x = x.detach()
    if x.data_ptr() % x.element_size():                      # memory of others, as from `torch.frombuffer`
        x = x.clone()
    return x.view(-1).numpy()


def _tables(numerator: Tensor, denominator: Tensor, kind: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    return tuple(t.detach().to(kind).contiguous().numpy() for t in (numerator, denominator))


def _over(inputs: tuple[Tensor, ...], out: Tensor, kind: torch.dtype, work: Callable) -> None:
    """Calls ``work(arrays, target, first)`` for each block, with flat arrays of type `kind` in memory or converted."""
    inputs, flat = tuple(x.view(-1) for x in inputs), out.view(-1)
    count = out.numel()
    if out.dtype == kind:
        if count:
            work([_flat(x) for x in inputs], _flat(flat), 0)
        return
    step = max(1, min(BLOCK * torch.get_num_threads(), -(-count // 3)))
    wide = torch.empty(min(step, count), dtype=kind)
    for start in range(0, count, step):
        end = min(start + step, count)
        work([_flat(x[start:end].to(kind)) for x in inputs], _flat(wide[:end - start]), start)
        flat[start:end].copy_(wide[:end - start])


def forward(x: Tensor, numerator: Tensor, denominator: Tensor, inner: int) -> Tensor:
    """P(x) / Q(x) with Q = 1 + sum |b_k| |x|^k.

    Args:
        x: any contiguous shape whose memory is (outer, G, inner), on the CPU.
        numerator: (G, M + 1) float32 (float64 for x of float64): a_0 ... a_M of each group.
        denominator: (G, N), of the same type: b_1 ... b_N.
        inner: contiguous elements of one group.

    Returns:
        of the shape and type of `x`; computed in float32 at least. Half precision goes through blocks of float32.
    """
    kind = torch.promote_types(x.dtype, torch.float32)
    kernel, _ = functions(numerator.shape[1] - 1, denominator.shape[1], x.dtype)
    tables = _tables(numerator, denominator, kind)
    y = torch.empty_like(x)

    def work(arrays: list[np.ndarray], target: np.ndarray, first: int) -> None:
        source, = arrays
        threads.run([functools.partial(kernel, source[i:j], target[i:j], *tables, inner, first + i)
                     for i, j in bounds(len(source), torch.get_num_threads())])

    _over((x,), y, kind, work)
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
        b. Each part's sums are float64, of at most RUN elements summed in their own type.
    """
    kind = torch.promote_types(x.dtype, torch.float32)
    m = numerator.shape[1]
    _, kernel = functions(m - 1, denominator.shape[1], x.dtype)
    tables = _tables(numerator, denominator, kind)
    dx = torch.empty_like(x)
    total = np.zeros((len(numerator), m + denominator.shape[1]))

    def work(arrays: list[np.ndarray], target: np.ndarray, first: int) -> None:
        source, grads = arrays
        parts = bounds(len(source), torch.get_num_threads())
        sums = np.zeros((len(parts), *total.shape))
        threads.run([functools.partial(kernel, source[i:j], grads[i:j], target[i:j], *tables, sums[k], inner, first + i)
                     for k, (i, j) in enumerate(parts)])
        np.add(total, sums.sum(0), out=total)

    _over((x, grad), dx, kind, work)
    if not coefficients:
        total[:] = 0
    done = torch.from_numpy(total).to(numerator.dtype)
    return dx, done[:, :m].contiguous(), done[:, m:] * torch.where(denominator < 0, 1.0, -1.0)
