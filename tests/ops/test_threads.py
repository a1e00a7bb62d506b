"""Parts of work on torch's OpenMP threads or on Python's: each once, errors told, several at a time."""
import functools
import threading

import pytest
import torch

from mmxf.ops import threads


@pytest.fixture(params=['team', 'pool'], autouse=True)
def kind(request, monkeypatch):
    if request.param == 'pool':
        monkeypatch.setattr(threads, '_openmp', lambda: None)
    elif threads._openmp() is None:
        pytest.skip("torch's OpenMP cannot be called here")
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield request.param
    torch.set_num_threads(before)


def test_each_part_once():
    for count in (1, 2, 3, 7):
        done = []
        threads.run([functools.partial(done.append, k) for k in range(count)])
        assert sorted(done) == list(range(count))


def test_parts_run_at_once():
    meeting = threading.Barrier(3)
    threads.run([lambda: meeting.wait(60)] * 3)         # each waits for the others


@pytest.mark.parametrize('which', [0, 2])
@pytest.mark.parametrize('error', [ValueError, KeyboardInterrupt])
def test_errors_are_raised(which, error):
    done = []

    def part(k: int) -> None:
        if k == which:
            raise error('this one')
        done.append(k)

    with pytest.raises(error, match='this one'):
        threads.run([lambda k=k: part(k) for k in range(3)])
    threads.run([lambda: done.append('again')] * 3)
    assert done.count('again') == 3


def test_a_smaller_team_does_all(kind, monkeypatch):
    if kind == 'pool':
        pytest.skip('a pool has no team')
    start, number, count = threads._openmp()
    monkeypatch.setattr(threads, '_openmp', lambda: (lambda f, data, n, flags: start(f, data, 1, flags), number, count))
    done = []
    threads.run([lambda k=k: done.append(k) for k in range(3)])
    assert sorted(done) == [0, 1, 2]


def test_parts_that_never_started_are_made_up_for(kind, monkeypatch):
    if kind == 'pool':
        pytest.skip('a pool has no team')
    _, number, count = threads._openmp()
    monkeypatch.setattr(threads, '_openmp', lambda: (lambda *team: None, number, count))
    done = []
    threads.run([lambda k=k: done.append(k) for k in range(3)])
    assert sorted(done) == [0, 1, 2]
