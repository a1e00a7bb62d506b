"""Inputs for tests of the rational function, and a child process's half of the tests of its Triton kernels.

``TRITON_INTERPRET=1 python rational_cases.py OUT.npz`` runs the kernels on the CPU, in Triton's interpreter.
"""
import sys

import numpy as np
import torch

# name -> shape of x, channel dimension, groups of numerator and denominator, orders M and N.
CASES = {
    'kat': ((3, 7, 48), -1, 1, 8, 5, 4),
    'rows_across_blocks': ((2, 61, 24), -1, 8, 8, 5, 4),
    'flat': ((5, 16), -1, 4, 1, 3, 2),
    'one_group': ((2, 9, 12), -1, 1, 1, 5, 4),
    'long_denominator': ((4, 6, 16), -1, 2, 2, 2, 5),
    'constant_over_line': ((4, 6, 16), -1, 2, 2, 0, 1),
    'channels_first': ((2, 16, 5, 6), 1, 1, 8, 5, 4),
    'channels_first_long': ((2, 8, 40, 60), 1, 1, 4, 5, 4),
}


def case(name: str, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, ...]:
    """x, numerator, denominator and output gradient; with zeros in x and in the denominator, and negative coefficients."""
    shape, _, of_a, of_b, m, n = CASES[name]
    random = torch.Generator().manual_seed(len(name))
    x = 1.5 * torch.randn(shape, generator=random, dtype=torch.float64)
    x.view(-1)[::7] = 0.0
    numerator = torch.randn(of_a, m + 1, generator=random, dtype=torch.float64)
    denominator = torch.randn(of_b, n, generator=random, dtype=torch.float64)
    denominator[0, 0] = 0.0
    grad = torch.randn(shape, generator=random, dtype=torch.float64)
    wide = torch.promote_types(dtype, torch.float32)
    return x.to(dtype), numerator.to(wide), denominator.to(wide), grad.to(dtype)


def inner_of(name: str) -> tuple[int, int]:
    """Groups, and contiguous elements of one group."""
    shape, dim, of_a, of_b, _, _ = CASES[name]
    groups = max(of_a, of_b)
    return groups, (shape[-1] if dim == -1 else int(np.prod(shape[1:]))) // groups


def run_kernels(target: str) -> None:
    from mmxf.ops import rational_triton

    rational_triton.BLOCK, rational_triton.PROGRAMS = 128, 12    # several blocks a program, on small inputs
    arrays = {}
    for name in CASES:
        groups, inner = inner_of(name)
        for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
            if dtype != torch.float32 and name != 'kat':
                continue
            x, a, b, grad = case(name, dtype)
            a, b = a.expand(groups, -1).contiguous(), b.expand(groups, -1).contiguous()
            y = rational_triton.forward(x, a, b, inner)
            results = (y, *rational_triton.backward(x, grad, a, b, inner))
            again = rational_triton.backward(x, grad, a, b, inner, coefficients=False)
            assert torch.equal(again[0], results[1]) and not again[1].any()
            for key, value in zip(('y', 'dx', 'da', 'db'), results):
                assert value.dtype == (dtype if key in ('y', 'dx') else a.dtype)
                arrays[f'{name}/{str(dtype)[6:]}/{key}'] = value.double().numpy()
    np.savez(target, **arrays)


if __name__ == '__main__':
    run_kernels(sys.argv[1])
