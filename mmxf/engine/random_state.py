"""Random number generators of a process: seeds per sample, and states that a checkpoint can carry.

A run continues exactly only if every random draw is a function of what a checkpoint holds. Draws in the model use the
main process's generators, whose states are saved; draws in the data pipeline use generators that are seeded anew for
every sample from (seed of the run, position in the stream), so that neither the number of workers nor what a worker
did before matters.
"""
from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_MASK = (1 << 64) - 1


def mix_seed(*values: int) -> int:
    """One 64-bit seed from several integers (the finaliser of SplitMix64, applied to each in turn).

    Neighbouring inputs give unrelated outputs, which adding them up would not.
    """
    state = 0
    for value in values:
        state = (state ^ (value & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


class SeededIndex(int):
    """An index into a data set that carries the seed of the sample's random draws.

    It is an int everywhere, so any data set takes it; it survives the way into a worker process.
    """

    seed: int

    def __new__(cls, index: int, seed: int) -> SeededIndex:
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __reduce__(self):
        return SeededIndex, (int(self), self.seed)


def seed_generators(seed: int) -> None:
    """Seed python's, numpy's and torch's CPU generator of this process; no GPU generator is touched."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed & 0x7FFFFFFFFFFFFFFF)


def capture_random_state() -> dict:
    """States of python's, numpy's, torch's CPU and (when in use) the current GPU's generator.

    Returns:
        dict of plain containers and tensors, loadable with ``torch.load(weights_only=True)``.
    """
    version, words, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()
    state = dict(python=[version, list(words), gauss],
                 numpy=[keys.tolist(), int(position), int(has_gauss), float(cached)],
                 torch=torch.get_rng_state())
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: dict) -> None:
    """Put generators back to what :func:`capture_random_state` returned."""
    version, words, gauss = state['python']
    random.setstate((version, tuple(words), gauss))
    keys, position, has_gauss, cached = state['numpy']
    np.random.set_state(('MT19937', np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state['torch'].cpu())  # a resumed file may have been mapped to a GPU
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


@contextmanager
def preserved_random_state() -> Iterator[dict]:
    """Leave all generators as they were on entering; yields the state on entering."""
    state = capture_random_state()
    try:
        yield state
    finally:
        restore_random_state(state)


@contextmanager
def seeded_generators(seed: int | None) -> Iterator[None]:
    """Inside, python's, numpy's and torch's CPU generators start from ``seed``; outside nothing has happened.

    None does nothing. Costs about 0.05 ms: the GPU generator is not looked at, since data pipelines leave it alone.
    """
    if seed is None:
        yield
        return
    saved = random.getstate(), np.random.get_state(), torch.get_rng_state()
    seed_generators(seed)
    try:
        yield
    finally:
        random.setstate(saved[0])
        np.random.set_state(saved[1])
        torch.set_rng_state(saved[2])
