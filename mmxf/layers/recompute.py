"""Computing a part again in the backward pass instead of keeping what it made (arXiv:1604.06174).

torch's checkpointing, for parts with batch norms: the second run uses the same batch statistics but does not count the
batch twice.
"""
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute(module: nn.Module, function: Callable, *args):
    """``function(*args)``; in training its inner tensors are not kept but made again when gradients are needed.

    Args:
        module: whose batch norms `function` uses; it keeps its tensors after `choose_recompute` said so.
        function: a part of the module's forward pass.
        args: its inputs.
    """
    if not (torch.is_grad_enabled() and module.training and getattr(module, 'recomputes', True)):
        return function(*args)
    return checkpoint(function, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), _Uncounted(module)))


def choose_recompute(module: nn.Module, again: bool) -> None:
    """Whether `recompute` makes the parts of a module and of all within it again (less memory), or keeps them (less time)."""
    for part in module.modules():
        part.recomputes = again


class _Uncounted:
    """Inside, batch norms write their running statistics into copies that are then forgotten. Can be entered again."""

    def __init__(self, module: nn.Module) -> None:
        self.norms = [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
        self.buffers: list[dict] = []

    def __enter__(self) -> None:
        self.buffers = [dict(norm._buffers) for norm in self.norms]
        for norm in self.norms:
            norm._buffers.update({name: buffer.clone() for name, buffer in norm._buffers.items() if buffer is not None})

    def __exit__(self, *_) -> None:
        for norm, buffers in zip(self.norms, self.buffers):
            norm._buffers.update(buffers)
