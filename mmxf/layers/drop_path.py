"""Stochastic depth (arXiv:1603.09382) that does not compute what it drops."""
from collections.abc import Callable

import torch
from torch import Tensor

from .made_again import MadeAgain


def residual(x: Tensor, branch: Callable[[Tensor], Tensor], drop: float = 0.0, training: bool = False,
             again: MadeAgain | None = None) -> Tensor:
    """``x + branch(x)``; in training each row's branch is left out with probability `drop`, the others are scaled up.

    Args:
        x: (N, ...), rows along the first axis.
        branch: maps (n, ...) to the same shape, row by row.
        drop: probability, 0 to 1.
        training: whether anything is dropped.
        again: where it makes `x` again for the backward pass, the rows that the branch sees are made again, too.
    """
    if not training or drop <= 0:
        return x + branch(x)
    kept = (torch.rand(len(x), device=x.device) >= drop).nonzero().squeeze(1)
    if not len(kept):
        return x
    if len(kept) == len(x):
        return torch.add(x, branch(x), alpha=1 / (1 - drop))
    rows = x.index_select(0, kept)
    if again is not None:
        again.add_rows(rows, x, kept)
    update = branch(rows)
    return x.index_add(0, kept, update.to(x.dtype), alpha=1 / (1 - drop))
