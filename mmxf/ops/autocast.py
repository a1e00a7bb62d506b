"""Autocast off inside an op.

mmcv calls the extension from within autograd functions that decide on precision themselves and hand over
tensors of one type. A compiled kernel cannot see autocast; torch operators would, and silently compute in
half precision.
"""
import functools
from collections.abc import Callable

import torch


def without_autocast(op: Callable) -> Callable:
    """Run ``op`` with autocast disabled on the CPU and on the device of its first tensor."""

    @functools.wraps(op)
    def wrapped(*args, **kwargs):
        device = next(a.device.type for a in args if isinstance(a, torch.Tensor))
        if not (torch.is_autocast_enabled(device) or torch.is_autocast_enabled('cpu')):
            return op(*args, **kwargs)
        with torch.autocast(device, enabled=False), torch.autocast('cpu', enabled=False):
            return op(*args, **kwargs)

    return wrapped


def compute_dtype(tensor: torch.Tensor) -> torch.dtype:
    """float64 stays, the others compute in float32: positions lose whole pixels in half precision."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32
