"""Stochastic depth (arXiv:1603.09382) that does not compute what it drops."""
from collections.abc import Callable

import torch
from torch import Tensor


def kept_rows(count: int, drop: float, device: torch.device) -> Tensor:
    """Those of `count` rows, in order, that are not left out with probability `drop`."""
    return (torch.rand(count, device=device) >= drop).nonzero().squeeze(1)


def residual(x: Tensor, branch: Callable[[Tensor], Tensor], drop: float = 0.0, training: bool = False) -> Tensor:
    """``x + branch(x)``; in training each row's branch is left out with probability `drop`, the others are scaled up.

    Args:
        x: (N, ...), rows along the first axis.
        branch: maps (n, ...) to the same shape, row by row.
        drop: probability, 0 to 1.
        training: whether anything is dropped.
    """
    if not training or drop <= 0:
        return x + branch(x)
    kept = kept_rows(len(x), drop, x.device)
    if not len(kept):
        return x
    if len(kept) == len(x):
        return torch.add(x, branch(x), alpha=1 / (1 - drop))
    update = branch(x.index_select(0, kept))
    return x.index_add(0, kept, update.to(x.dtype), alpha=1 / (1 - drop))
