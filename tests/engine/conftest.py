"""Runs of a second in processes of their own, forked from one that has imported everything."""
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy_child import train_in_child

HERE = Path(__file__).parent


class Run:
    """A training process. Its work_dir is kept; what it prints goes to output.txt."""

    def __init__(self, context, kwargs: dict, environment: dict, death: tuple[str, float] | None) -> None:
        self.folder = Path(kwargs['work_dir'])
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / 'started').unlink(missing_ok=True)
        self.process = context.Process(target=train_in_child, args=(kwargs, environment, death))
        self.process.start()

    def finish(self) -> int:
        """Its exit code, minus the signal that ended it."""
        self.process.join(900)  # for ever, but for a run that hangs
        return self.process.exitcode

    @property
    def output(self) -> str:
        return (self.folder / 'output.txt').read_text()


@pytest.fixture(scope='session')
def start():
    """start(work_dir=..., environment={}, death=None, **kwargs of toy_training.config) -> Run; see train_in_child."""
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    # The server imports once; python < 3.12 hands it no sys.path, so the environment does.
    before = os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(HERE), before]))
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['toy_preload'])
    sys.path.insert(0, str(HERE))
    runs = []

    def begin(environment=None, death=None, **kwargs) -> Run:
        runs.append(Run(context, kwargs, environment or {}, death))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.is_alive():
            run.process.kill()
            run.process.join()
    sys.path.remove(str(HERE))
    if before is None:
        del os.environ['PYTHONPATH']
    else:
        os.environ['PYTHONPATH'] = before


@pytest.fixture
def start_two(start, tmp_path_factory):
    """start_two(work_dir=..., **kwargs) -> two Runs that train together, as torchrun would start them."""

    def begin(**kwargs) -> list[Run]:
        rendezvous = (tmp_path_factory.mktemp('rendezvous') / 'file').as_uri()
        return [start(environment={'RANK': str(rank), 'LOCAL_RANK': str(rank), 'WORLD_SIZE': '2',
                                   'RENDEZVOUS': rendezvous},
                      launcher='pytorch', **kwargs) for rank in range(2)]
    return begin


@pytest.fixture
def toy(monkeypatch):
    """The module toy_training, to train in this process."""
    monkeypatch.syspath_prepend(str(HERE))
    import toy_preload
    for owner, name, value in toy_preload.SHORTCUTS:  # of this test only: others look at what configs print
        monkeypatch.setattr(owner, name, value)
    return toy_preload.toy_training


@pytest.fixture
def torchrun():
    """torchrun(processes, **kwargs of toy_training.config) -> subprocess.CompletedProcess"""

    def run(processes: int, **kwargs) -> subprocess.CompletedProcess:
        command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}',
                   str(HERE / 'toy_training.py'), json.dumps(dict(kwargs, launcher='pytorch'))]
        return subprocess.run(command, capture_output=True, text=True, timeout=900,
                              env=dict(os.environ, OMP_NUM_THREADS='1'))
    return run
