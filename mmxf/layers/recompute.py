"""Computing a part again in the backward pass instead of keeping what it made (arXiv:1604.06174).

torch's checkpointing, for parts with batch norms: the second run uses the same batch statistics but does not count the
batch twice.
"""
from collections.abc import Callable
from contextlib import contextmanager, nullcontext

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute(module: nn.Module, function: Callable, *args):
    """``function(*args)``; in training its inner tensors are not kept but made again when gradients are needed.

    Args:
        module: whose batch norms `function` uses.
        function: a part of the module's forward pass.
        args: its inputs.
    """
    if not (torch.is_grad_enabled() and module.training):
        return function(*args)
    return checkpoint(function, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), _uncounted(module)))


@contextmanager
def _uncounted(module: nn.Module):
    """Inside, batch norms write their running statistics into copies that are then forgotten."""
    kept = [(norm, dict(norm._buffers)) for norm in module.modules() if isinstance(norm, _BatchNorm)]
    for norm, buffers in kept:
        norm._buffers.update({name: buffer.clone() for name, buffer in buffers.items() if buffer is not None})
    try:
        yield
    finally:
        for norm, buffers in kept:
            norm._buffers.update(buffers)
