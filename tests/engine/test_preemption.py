"""Signals: the run saves within the step, on all ranks, leaves with status 75, and ends as if it had not been stopped."""
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmxf.cli._early_signals import note_early_signals
from mmxf.engine.hooks import PREEMPTED_STATUS, Preempted


def wait_for(path: Path, runs) -> None:
    while not path.exists():
        assert all(run.process.is_alive() for run in runs), [run.output for run in runs]
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Processes that ``pid`` has started."""
    found = []
    for entry in Path('/proc').glob('[0-9]*/stat'):
        try:
            after_name = entry.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        if int(after_name[1]) == pid:
            found.append(int(entry.parent.name))
    return found


def same(a: Path, b: Path) -> None:
    one, two = torch.load(a / 'final.pth'), torch.load(b / 'final.pth')
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)


def step_of(folder: Path) -> int:
    return int((folder / 'last_checkpoint').read_text().rpartition('_')[2].split('.')[0])


def test_signal_to_one_rank_stops_both_and_nothing_is_lost(start_two, tmp_path):
    """SIGUSR1 as slurm sends it: to a rank and its data workers."""
    kwargs = dict(length=14, interval=1000, workers=1, persistent=True, accumulate=2)
    whole = start_two(work_dir=str(tmp_path / 'whole'), **kwargs)
    told = start_two(work_dir=str(tmp_path / 'told'), delay=0.1, **kwargs)
    wait_for(tmp_path / 'told' / 'started', told)
    time.sleep(0.4)
    workers = children(told[1].process.pid)
    assert workers
    for pid in [*workers, told[1].process.pid]:
        os.kill(pid, signal.SIGUSR1)
    assert [run.finish() for run in told] == [PREEMPTED_STATUS] * 2, [run.output for run in told]
    mark = json.loads((tmp_path / 'told' / 'preempted.json').read_text())
    assert mark['signal'] == 'SIGUSR1' and 0 < mark['iteration'] == step_of(tmp_path / 'told') < 14
    again = start_two(work_dir=str(tmp_path / 'told'), resume=True, **kwargs)
    for run in [*again, *whole]:
        assert run.finish() == 0, run.output
    assert not (tmp_path / 'told' / 'preempted.json').exists()
    same(tmp_path / 'whole', tmp_path / 'told')


def test_data_workers_outlive_signals(start, tmp_path):
    run = start(work_dir=str(tmp_path), length=12, workers=2, persistent=True, delay=0.1)
    wait_for(tmp_path / 'started', [run])
    time.sleep(0.3)
    workers = children(run.process.pid)
    assert len(workers) == 2
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGUSR1)
    begin = time.monotonic()
    assert run.finish() == 0, run.output
    assert time.monotonic() - begin < 60, 'and end when their own process wants it'


WORKER = '''
import multiprocessing, os, signal, sys, time
from mmxf.engine import worker_signals

def work(run, dies):
    while dies and os.getppid() == run:
        time.sleep(0.01)
    print('begins', flush=True)
    worker_signals.PATROL = 0.1
    worker_signals._Shielded(None, (signal.SIGTERM,))(0)
    time.sleep(300 if dies else 1)
    print('ends', flush=True)

if __name__ == '__main__':
    dies = sys.argv[2] == 'dies'
    process = multiprocessing.get_context(sys.argv[1]).Process(target=work, args=(os.getpid(), dies))
    process.start()
    if dies:
        os._exit(0)
    process.join()
'''


@pytest.mark.parametrize('method, fate, said', [('fork', 'dies', ['begins']), ('fork', 'lives', ['begins', 'ends']),
                                                ('forkserver', 'lives', ['begins', 'ends'])])
def test_a_worker_ends_with_its_run(method, fate, said, tmp_path):
    """Also one whose run was killed before it began."""
    (tmp_path / 'script.py').write_text(WORKER)
    done = subprocess.run([sys.executable, tmp_path / 'script.py', method, fate], stdout=subprocess.PIPE, text=True, timeout=120,
                          env={**os.environ, 'PYTHONPATH': str(Path(__file__).parents[2])})
    assert done.stdout.split() == said, 'and the pipe was closed, as it is when the last process of it ends'


@pytest.mark.parametrize('name, kwargs', [('epoch', dict(loop='epoch', length=3, interval=1, val=1)),
                                          ('keep', dict(length=12, interval=5, hook=dict(max_keep_ckpts=1)))])
@pytest.mark.parametrize('moment', [4, 6, 12])
def test_any_moment_of_the_schedule(name, kwargs, moment, toy, tmp_path, monkeypatch):
    """In the middle of an epoch (6 iterations each) and at its end; the signal comes in the forward pass."""
    folder = tmp_path / 'told'
    toy.train(work_dir=str(tmp_path / 'whole'), **kwargs)
    forward, calls = toy.ToyModel.forward, []

    def signalled(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            calls.append(mode)
            if len(calls) == moment:
                os.kill(os.getpid(), signal.SIGTERM)
        return forward(self, inputs, data_samples, mode)

    monkeypatch.setattr(toy.ToyModel, 'forward', signalled)
    with pytest.raises(Preempted) as stopped:
        toy.train(work_dir=str(folder), **kwargs)
    assert stopped.value.code == PREEMPTED_STATUS
    assert json.loads((folder / 'preempted.json').read_text())['iteration'] == moment
    monkeypatch.undo()
    toy.train(work_dir=str(folder), resume=True, **kwargs)
    same(tmp_path / 'whole', folder)
    if name == 'keep':
        assert len(list(folder.glob('iter_*.pth'))) <= 2, 'what it saved counts as the others do'


def test_signal_during_validation(toy, tmp_path, monkeypatch):
    kwargs = dict(length=6, interval=100, val=3)
    toy.train(work_dir=str(tmp_path / 'whole'), **kwargs)
    process, compute, done = toy.ToyMetric.process, toy.ToyMetric.compute_metrics, []

    def signalled(self, data_batch, data_samples):
        if not done:
            os.kill(os.getpid(), signal.SIGUSR1)
        process(self, data_batch, data_samples)

    monkeypatch.setattr(toy.ToyMetric, 'process', signalled)
    monkeypatch.setattr(toy.ToyMetric, 'compute_metrics', lambda self, results: done.append(1) or compute(self, results))
    with pytest.raises(Preempted):
        toy.train(work_dir=str(tmp_path / 'told'), **kwargs)
    assert not done and step_of(tmp_path / 'told') == 3
    done.append(0)
    toy.train(work_dir=str(tmp_path / 'told'), resume=True, **kwargs)
    assert len(done) == 3, 'the validation that was left is made up for, then the one at the end'
    same(tmp_path / 'whole', tmp_path / 'told')


def test_a_signal_before_the_run_could_listen(toy, tmp_path):
    """slurm's USR1 while a run is being built: noted by the command line, obeyed after the first iteration."""
    kwargs = dict(length=4, interval=100)
    toy.train(work_dir=str(tmp_path / 'whole'), **kwargs)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        for number in before:
            signal.signal(number, signal.SIG_DFL)
        assert note_early_signals('none') is None and signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
        note_early_signals('slurm')
        os.kill(os.getpid(), signal.SIGUSR1)    # by default this would end the process here
        with pytest.raises(Preempted):
            toy.train(work_dir=str(tmp_path / 'told'), **kwargs)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert step_of(tmp_path / 'told') == 1
    toy.train(work_dir=str(tmp_path / 'told'), resume=True, **kwargs)
    same(tmp_path / 'whole', tmp_path / 'told')


def test_handlers_are_put_back(toy, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    toy.train(work_dir=str(tmp_path), length=2)
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(ValueError, match="no signals \\['SIGUSR9'\\]"):
        toy.train(work_dir=str(tmp_path), length=2, hooks=[dict(type='PreemptionHook', signals=['SIGUSR9'])])


def test_processes_that_a_metric_forks_end_when_told_to(toy, tmp_path, monkeypatch):
    ended = []

    def forks(self, results):
        for _ in range(20):     # told at once, too: some before they run a line
            child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))
            child.start()
            child.terminate()
            child.join(5)
            ended.append(child.exitcode)
            child.kill()
        return {'forked': 1.0}

    monkeypatch.setattr(toy.ToyMetric, 'compute_metrics', forks)
    toy.train(work_dir=str(tmp_path), length=2, interval=2, batch=2, val=2)
    assert ended == [-signal.SIGTERM] * 20


@pytest.mark.parametrize('error', [RuntimeError, KeyboardInterrupt])
def test_a_failed_run_leaves_no_handler_behind(toy, tmp_path, monkeypatch, error):
    """A process whose run has failed, as a notebook's, would not end by SIGTERM."""
    def fail(*_, **__):
        during.append(signal.getsignal(signal.SIGTERM))
        raise error('stop')

    before, during = signal.getsignal(signal.SIGTERM), []
    runner = toy.Runner.from_cfg(toy.config(str(tmp_path), length=4, interval=9))
    monkeypatch.setattr(runner.model, 'train_step', fail)
    with pytest.raises(error, match='stop'):
        runner.train()
    assert during[0] != before and signal.getsignal(signal.SIGTERM) == before
