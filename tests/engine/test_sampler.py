"""The stream of samples: the same for any number of ranks, entered anywhere, seeded per sample."""
import itertools
import pickle
import random

import numpy as np
import pytest
import torch

from mmxf.engine import sampler as sampler_module
from mmxf.engine.random_state import (
    SeededIndex,
    capture_random_state,
    mix_seed,
    preserved_random_state,
    restore_random_state,
    seeded_generators,
)
from mmxf.engine.sampler import ResumableSampler


def stream(count, rank=0, world=1, skip=0, monkeypatch=None, **kwargs):
    if monkeypatch is not None:
        monkeypatch.setattr(sampler_module, 'get_dist_info', lambda: (rank, world))
    sampler = ResumableSampler(range(10), seed=3, **kwargs)
    sampler.skip(skip)
    return [(int(i), i.seed) for i in itertools.islice(iter(sampler), count)]


def test_each_pass_holds_every_sample_once_in_another_order():
    indices = [i for i, _ in stream(30)]
    passes = [indices[:10], indices[10:20], indices[20:]]
    assert all(sorted(p) == list(range(10)) for p in passes)
    assert passes[0] != passes[1] != passes[2] != passes[0]
    assert len({seed for _, seed in stream(1000)}) == 1000


@pytest.mark.parametrize('skip', [0, 1, 9, 10, 11, 25])
def test_skipping_is_the_same_as_dropping(skip):
    assert stream(12, skip=skip) == stream(12 + skip)[skip:]


def test_ranks_share_one_stream(monkeypatch):
    ranks = [stream(8, rank=r, world=3, skip=2, monkeypatch=monkeypatch) for r in range(3)]
    dealt = [ranks[r][k] for k in range(8) for r in range(3)]
    assert dealt == stream(30, monkeypatch=monkeypatch)[6:]


def test_one_pass_at_a_time(monkeypatch):
    sampler = ResumableSampler(range(10), seed=3, infinite=False)
    first = [int(i) for i in sampler]
    sampler.set_epoch(1)
    second = list(sampler)
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    sampler.skip(7)
    assert list(sampler) == second[7:] and len(sampler) == 10
    monkeypatch.setattr(sampler_module, 'get_dist_info', lambda: (2, 4))
    last = ResumableSampler(range(10), seed=3, infinite=False)
    assert [int(i) for i in last] == [first[2], first[6], first[0]] and len(last) == 3  # rounded up to 12


def test_no_shuffling_and_no_data():
    assert [i for i, _ in stream(12, shuffle=False)] == [*range(10), 0, 1]
    with pytest.raises(ValueError, match='empty'):
        ResumableSampler([], seed=0)
    with pytest.raises(ValueError, match='negative'):
        ResumableSampler([1], seed=0).skip(-1)


def test_seeded_index_is_an_int_that_travels():
    index = pickle.loads(pickle.dumps(SeededIndex(5, 77)))
    assert index == 5 and list(range(9))[index] == 5 and index.seed == 77


def test_mixed_seeds_are_pinned():
    # Changing these numbers changes the data order of every run that is resumed with a newer version.
    assert mix_seed(0) == 0xE220A8397B1DCDAF  # SplitMix64's first output from state 0
    assert mix_seed(1, 2) != mix_seed(2, 1)
    assert len({mix_seed(a, b) for a in range(40) for b in range(40)}) == 1600


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(1))


def test_generators_inside_and_outside():
    before = capture_random_state()
    with seeded_generators(5):
        inside = draws()
        draws()
    with seeded_generators(5):
        assert draws() == inside
    with preserved_random_state():
        first = draws()
    np.random.randn()  # leaves a cached normal number behind, part of the state
    restore_random_state(before)
    assert draws() == first


def test_state_fits_a_weights_only_file(tmp_path):
    np.random.randn()
    torch.save(capture_random_state(), tmp_path / 'state.pth')
    expected = np.random.randn(), draws()
    restore_random_state(torch.load(tmp_path / 'state.pth', weights_only=True))
    assert (np.random.randn(), draws()) == expected
