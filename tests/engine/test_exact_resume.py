"""A run that is killed and resumed ends with the same bits as one that was not."""
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from mmxf.engine.sampler import ResumableSampler

# Each has a source of randomness or state of its own that must come back.
RUNS = {
    'plain': dict(val=4, ema=True, interval=2),
    'workers': dict(workers=2, interval=2),
    'persistent': dict(workers=2, persistent=True, interval=3),
    'accumulate': dict(accumulate=3, interval=2),  # checkpoints fall inside a window of accumulation
    'keep': dict(val=3, interval=2, hook=dict(max_keep_ckpts=2, save_best='error', rule='less')),
    'epochs': dict(loop='epoch', length=3, interval=1, workers=1, val=1),
    'inside_epoch': dict(loop='epoch', length=3, interval=4, hook=dict(by_epoch=False), accumulate=4),
    'bad_images': dict(workers=2, interval=2, data=dict(bad=(3, 11))),
    'mmengine_sampler': dict(interval=2, sampler=dict(type='InfiniteSampler', shuffle=True)),
    'drawn_seed': dict(interval=2, seed=None),
}


def same(a: Path, b: Path) -> bool:
    one, two = torch.load(a / 'final.pth'), torch.load(b / 'final.pth')
    assert one.keys() == two.keys()
    return all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize('name', [name for name in RUNS if name != 'drawn_seed'])
def test_killed_run_ends_with_the_same_weights(name, start, tmp_path):
    kwargs = dict(RUNS[name], delay=0.02)
    whole = start(work_dir=str(tmp_path / 'whole'), **RUNS[name])
    draw = random.Random(name)
    for attempt in range(2):
        sign = 'started' if attempt else 'last_checkpoint'
        run = start(work_dir=str(tmp_path / 'killed'), resume=attempt > 0, death=(sign, draw.uniform(0, 0.3)), **kwargs)
        assert run.finish() == -signal.SIGKILL, run.output
    last = start(work_dir=str(tmp_path / 'killed'), resume=True, **RUNS[name])
    assert last.finish() == 0, last.output
    assert whole.finish() == 0, whole.output
    assert same(whole.folder, last.folder)


def test_seed_that_was_drawn_comes_back(start, tmp_path):
    """Without a seed in the config each start draws another; the data stream must keep the first."""
    first = start(work_dir=str(tmp_path / 'a'), **RUNS['drawn_seed'])
    assert first.finish() == 0, first.output
    for number in range(7, 13):  # as if killed at iteration 6
        (first.folder / f'iter_{number}.pth').unlink(missing_ok=True)
    expected = torch.load(first.folder / 'final.pth')
    again = start(work_dir=str(tmp_path / 'a'), resume=True, **RUNS['drawn_seed'])
    assert again.finish() == 0, again.output
    result = torch.load(first.folder / 'final.pth')
    assert all(torch.equal(expected[key], result[key]) for key in expected)


def test_resuming_loads_nothing_that_was_skipped(toy, tmp_path):
    """Resuming at iteration 100 000 of a data set that takes 0.05 s a sample is immediate."""
    sampler = ResumableSampler(range(118287), seed=1)
    sampler.skip(100_000 * 64)
    begin = time.process_time()
    next(iter(sampler))
    assert time.process_time() - begin < 2
    loaded = []

    class Counting(toy.ToyData):
        def prepare_data(self, index):
            loaded.append(index)
            return super().prepare_data(index)

    toy.DATASETS.register_module(module=Counting, force=True)
    kwargs = dict(work_dir=str(tmp_path), data=dict(type='Counting', plain=True), length=6, interval=3)
    toy.train(**kwargs)
    assert len(loaded) == 24
    (tmp_path / 'iter_6.pth').unlink()
    loaded.clear()
    toy.train(resume=True, **kwargs)
    assert len(loaded) == 12


def test_validation_that_was_interrupted_is_made_up_for(toy, tmp_path, monkeypatch):
    kwargs = dict(work_dir=str(tmp_path), val=4, length=8, interval=4)
    calls = []
    compute = toy.ToyMetric.compute_metrics

    def fail_first(self, results):
        calls.append(len(results))
        if len(calls) == 1:
            raise KeyboardInterrupt
        return compute(self, results)

    monkeypatch.setattr(toy.ToyMetric, 'compute_metrics', fail_first)
    with pytest.raises(KeyboardInterrupt):
        toy.train(**kwargs)
    toy.train(resume=True, **kwargs)
    assert len(calls) == 3  # the interrupted one, it again, and the one at iteration 8
    calls.append(None)
    toy.train(resume=True, **kwargs)  # a finished run does not validate once more
    assert len(calls) == 4


def test_other_batch_size_goes_on_in_the_stream(toy, tmp_path):
    seen = []
    prepare = toy.ToyData.prepare_data
    kwargs = dict(work_dir=str(tmp_path), data=dict(plain=True), length=4, interval=2)
    toy.ToyData.prepare_data = lambda self, index: seen.append(index) or prepare(self, index)
    try:
        toy.train(**kwargs)
        whole = list(seen)
        (tmp_path / 'iter_4.pth').unlink()
        seen.clear()
        toy.train(resume=True, batch=2, **dict(kwargs, length=6))
    finally:
        toy.ToyData.prepare_data = prepare
    assert seen == whole[8:]  # two iterations of four were done; four of two follow
