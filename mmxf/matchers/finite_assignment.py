"""Bipartite matching that a cost of NaN does not end.

scipy's raises on it, in one process of several, while the others wait. Here the pairing is then arbitrary, and remembered, so
that the step can be left out by all processes together (``NonFiniteLossHook``).
"""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import scipy.optimize

_plain_assignment = scipy.optimize.linear_sum_assignment
_seen = False


def finite_assignment(cost_matrix, maximize: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """scipy's ``linear_sum_assignment``; where the costs are not finite, some pairing, which is noted.

    Args:
        cost_matrix: (N, M).
        maximize: as scipy's.
    """
    global _seen
    try:
        return _plain_assignment(cost_matrix, maximize)
    except ValueError:
        cost = np.array(cost_matrix, dtype=np.float64)
        if np.isfinite(cost).all():
            raise
        _seen = True
        limit = 1e6 if not maximize else -1e6
        return _plain_assignment(np.nan_to_num(cost, nan=limit, posinf=1e6, neginf=-1e6), maximize)


def take_non_finite_cost() -> bool:
    """Whether a cost was not finite since this was asked last."""
    global _seen
    seen, _seen = _seen, False
    return seen


@contextmanager
def finite_assignments() -> Iterator[None]:
    """Inside, every module that has imported scipy's function has this one, mmdet's matchers among them."""
    holders = [module for module in list(sys.modules.values())
               if not getattr(module, '__name__', 'scipy').startswith(('scipy', __name__))
               and getattr(module, '__dict__', {}).get('linear_sum_assignment') is _plain_assignment]
    for module in holders:
        module.linear_sum_assignment = finite_assignment
    try:
        yield
    finally:
        for module in holders:
            module.linear_sum_assignment = _plain_assignment
