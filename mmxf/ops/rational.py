"""The group-wise safe rational function of KAT (arXiv:2409.10594, section 4.2), as one differentiable operator.

    F(x) = (a_0 + a_1 x + ... + a_M x^M) / (1 + |b_1| |x| + ... + |b_N| |x|^N)

with coefficients of each group of channels. The published pure-torch fallback divides by 1 + |b_1 x + ...| or 1 + sum |b_k| x^k,
which are other functions; published models were trained with the one above. Triton kernels on a GPU (`rational_triton`), one pass
over memory on a CPU (`rational_numba`); plain torch in blocks that stay in the cache (`rational_torch`) elsewhere and where those
cannot be had, and as one expression for the compiler to fuse under ``torch.compile`` on a CPU.
"""
import functools
import warnings
from types import ModuleType

import torch
from torch import Tensor

from . import rational_torch

# Runs of a group below this are faster in torch on a CPU.
SHORT = 4


def rational(x: Tensor, numerator: Tensor, denominator: Tensor, channel_dim: int = -1) -> Tensor:
    """F(x), group by group.

    Args:
        x: (..., C), or (B, C, ...) with `channel_dim=1`; float32, bfloat16, float16 or float64, any strides.
        numerator: (G, M + 1) or (1, M + 1), shared by all groups: a_0 ... a_M, lowest power first.
        denominator: (G, N) or (1, N): b_1 ... b_N. The larger of the two numbers of groups counts; C must be a multiple.
        channel_dim: -1 or 1.

    Returns:
        of the shape and type of `x`. Inside, and for the coefficients and the sums of their gradients, float32 is used (float64
        for float64). Gradients are the same bits in every run on a device. Where a slope is not unique, at x = 0 and b_k = 0, the
        sign of 0 counts as +1.

    Raises:
        ValueError: for shapes that do not fit.
        TypeError: for a type that is no floating one.
        RuntimeError: on asking for gradients of gradients.
    """
    groups = _check(x, numerator, denominator, channel_dim)
    kind = torch.promote_types(x.dtype, torch.float32)
    numerator = numerator.to(kind).expand(groups, -1)
    denominator = denominator.to(kind).expand(groups, -1)
    last = channel_dim in (-1, x.dim() - 1)
    if not last and not x.is_contiguous():       # channels-last memory of images needs no copy
        order = (0, *range(2, x.dim()), 1)
        back = (0, x.dim() - 1, *range(1, x.dim() - 1))
        return rational(x.permute(order), numerator, denominator).permute(back)
    inner = (x.shape[-1] if last else x[0].numel() if len(x) else x.shape[1]) // groups
    x = x.contiguous()
    if torch.compiler.is_compiling():
        if x.is_cuda:
            return _forward(x, numerator.contiguous(), denominator.contiguous(), inner)
        return rational_torch.Fused.apply(x, numerator, denominator, inner)
    return _Rational.apply(x, numerator.contiguous(), denominator.contiguous(), inner)


def _check(x: Tensor, numerator: Tensor, denominator: Tensor, channel_dim: int) -> int:
    if not x.is_floating_point():
        raise TypeError(f'the rational function takes floating-point numbers, got {x.dtype}')
    if x.dim() < 1 or channel_dim not in (-1, 1, x.dim() - 1):
        raise ValueError(f'channel_dim must be -1 or 1, got {channel_dim} for an input of shape {tuple(x.shape)}')
    if numerator.dim() != 2 or denominator.dim() != 2 or not numerator.shape[1] or not denominator.shape[1]:
        raise ValueError('numerator must be (G, M + 1) and denominator (G, N), with at least one coefficient each, got '
                         f'{tuple(numerator.shape)} and {tuple(denominator.shape)}')
    groups = max(len(numerator), len(denominator))
    if {len(numerator), len(denominator)} - {1, groups}:
        raise ValueError(f'numerator has {len(numerator)} groups and denominator {len(denominator)}: the numbers must be '
                         'equal, or one of them 1')
    channels = x.shape[channel_dim]
    if channels % groups:
        raise ValueError(f'{channels} channels cannot be parted into {groups} groups of one size: choose a number of groups '
                         f'that divides {channels}')
    return groups


@functools.cache
def _kernels() -> ModuleType:
    """Triton's kernels, or the torch path where they cannot be had."""
    try:
        import triton

        if tuple(int(part) for part in triton.__version__.split('.')[:2]) < (3, 3):
            raise ImportError(f'Triton {triton.__version__} is older than 3.3')
        from . import rational_triton
        return rational_triton
    except ImportError as error:
        warnings.warn(f'the rational function runs without its GPU kernels, several times slower: {error}', stacklevel=2)
        return rational_torch


@functools.cache
def _cpu_kernels(m: int, n: int, dtype: torch.dtype) -> ModuleType:
    """numba's functions for orders m and n, or the torch path where they cannot be had."""
    try:
        from . import rational_numba

        rational_numba.functions(m, n, dtype)
        return rational_numba
    except Exception as error:                   # numba missing, or not for this NumPy, this Python, this processor ...
        reason = ' '.join((type(error).__name__ + ':', *str(error).split('\n')[:1]))
        warnings.warn(f'the rational function runs in plain torch on the CPU, several times slower: no numba ({reason})',
                      stacklevel=2)
        return rational_torch


def _path(x: Tensor, numerator: Tensor, denominator: Tensor, inner: int) -> ModuleType:
    if x.is_cuda:
        return _kernels()
    # Tracers and modes that watch operators must see torch's; tensors without memory have nothing else. Short runs are no SIMD.
    if (x.device.type != 'cpu' or type(x) not in (Tensor, torch.nn.Parameter) or torch.jit.is_tracing()
            or torch._C._len_torch_dispatch_stack() or inner < SHORT):
        return rational_torch
    return _cpu_kernels(numerator.shape[1] - 1, denominator.shape[1], torch.promote_types(x.dtype, torch.float32))


class _Rational(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, numerator: Tensor, denominator: Tensor, inner: int) -> Tensor:
        ctx.inner = inner = int(inner)               # torch.jit.trace hands over a tensor
        path = _path(x, numerator, denominator, inner)
        y = path.forward(x, numerator, denominator, inner)
        # The kernels compute the result again: reading it would cost more.
        ctx.save_for_backward(x, numerator, denominator, *((y,) if path is rational_torch else ()))
        return y

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, numerator, denominator, *y = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
        return *_Gradients.apply(x, numerator, denominator, grad, ctx.inner, wanted, *y), None


class _Gradients(torch.autograd.Function):
    """The backward pass as a step of its own, so that differentiating it is noticed."""

    @staticmethod
    def forward(ctx, x: Tensor, numerator: Tensor, denominator: Tensor, grad: Tensor, inner: int, wanted: bool, *y: Tensor):
        path = _path(x, numerator, denominator, inner)
        return path.backward(x, grad.contiguous(), numerator, denominator, inner, wanted, *(y if path is rational_torch else ()))

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError('the rational function has no gradients of gradients: call backward or autograd.grad without '
                           'create_graph=True')


# The same as operators that compilers take as they are, for the kernels of a GPU. Not used without a compiler: the first call
# of such an operator imports all of torch's compiler.
@torch.library.custom_op('mmxf::rational_forward', mutates_args=())
def _forward(x: Tensor, numerator: Tensor, denominator: Tensor, inner: int) -> Tensor:
    return _path(x, numerator, denominator, inner).forward(x, numerator, denominator, inner)


@_forward.register_fake
def _(x, numerator, denominator, inner):
    return torch.empty_like(x)


@torch.library.custom_op('mmxf::rational_backward', mutates_args=())
def _backward(x: Tensor, grad: Tensor, numerator: Tensor, denominator: Tensor, inner: int,
              coefficients: bool) -> tuple[Tensor, Tensor, Tensor]:
    return _path(x, numerator, denominator, inner).backward(x, grad.contiguous(), numerator, denominator, inner, coefficients)


@_backward.register_fake
def _(x, grad, numerator, denominator, inner, coefficients):
    return torch.empty_like(x), torch.empty_like(numerator), torch.empty_like(denominator)


def _setup(ctx, inputs, output) -> None:
    *tensors, ctx.inner = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx, grad: Tensor):
    x, numerator, denominator = ctx.saved_tensors
    coefficients = ctx.needs_input_grad[1] or ctx.needs_input_grad[2]
    return *_backward(x, grad, numerator, denominator, ctx.inner, coefficients), None


_forward.register_autograd(_gradients, setup_context=_setup)
