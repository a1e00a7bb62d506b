"""Mixed precision in the type that the machine serves best, chosen in one place for all configs."""
from __future__ import annotations

import logging
from typing import Any

import torch
from mmengine.device import is_cuda_available, is_musa_available, is_npu_available
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch.optim import Optimizer

from mmxf.registry import OPTIM_WRAPPERS

DTYPES = ('auto', 'bfloat16', 'float16', 'float32')


def precision(dtype: str = 'auto') -> tuple[str, float | str | None]:
    """The type to compute in on this machine, and the loss scale that goes with it.

    bfloat16 has float32's range, so nothing needs scaling; the scaler still leaves out steps whose gradients are not finite.

    Args:
        dtype: 'auto', or one of the types, which is then kept where there is a GPU.

    Returns:
        ('float32', None) without a GPU, ('bfloat16', 1.0) or ('float16', 'dynamic') with one.

    Raises:
        ValueError: for another dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f'optim_wrapper.dtype must be one of {", ".join(map(repr, DTYPES))}, got {dtype!r}')
    if not (is_cuda_available() or is_npu_available() or is_musa_available()):
        return 'float32', None
    if dtype == 'auto':
        dtype = 'bfloat16' if is_cuda_available() and torch.cuda.is_bf16_supported(including_emulation=False) else 'float16'
    return dtype, {'bfloat16': 1.0, 'float16': 'dynamic', 'float32': None}[dtype]


@OPTIM_WRAPPERS.register_module(name='MixedPrecisionOptimWrapper')
def mixed_precision(optimizer: Optimizer, dtype: str = 'auto', loss_scale: float | str | dict | None = None,
                    accumulative_counts: int = 1, clip_grad: dict | None = None) -> OptimWrapper:
    """mmengine's AmpOptimWrapper in bfloat16 where the GPU has it, else in float16 with a dynamic loss scale; without a GPU a
    plain OptimWrapper in float32. What was chosen is said.

    Args:
        optimizer: the optimiser.
        dtype: 'auto', 'bfloat16', 'float16' or 'float32'.
        loss_scale: in place of the one that suits the type; mmengine's.
        accumulative_counts, clip_grad: mmengine's.
    """
    chosen, scale = precision(dtype)
    common: dict[str, Any] = dict(optimizer=optimizer, accumulative_counts=accumulative_counts, clip_grad=clip_grad)
    if chosen == 'float32':
        if dtype != 'float32':
            print_log('No GPU: training in float32 instead of mixed precision', logger='current', level=logging.WARNING)
        return OptimWrapper(**common)
    scale = scale if loss_scale is None else loss_scale
    print_log(f'Mixed precision in {chosen}, loss scale {scale}' + (
        ': this GPU has no bfloat16' if dtype == 'auto' and chosen == 'float16' else ''), logger='current')
    return AmpOptimWrapper(dtype=chosen, loss_scale=scale, **common)
