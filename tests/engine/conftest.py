"""Runs of a second in processes of their own, forked from one that has imported everything."""
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from toy_child import train_in_child

HERE = Path(__file__).parent


class Run:
    """A training process. Its work_dir is kept; what it prints goes to output.txt."""

    def __init__(self, context, kwargs: dict, environment: dict) -> None:
        self.folder = Path(kwargs['work_dir'])
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / 'started').unlink(missing_ok=True)
        self.process = context.Process(target=train_in_child, args=(kwargs, environment))
        self.process.start()

    def finish(self) -> int:
        self.process.join(100)
        return self.process.exitcode

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    @property
    def output(self) -> str:
        return (self.folder / 'output.txt').read_text()


@pytest.fixture(scope='session')
def start():
    """start(work_dir=..., environment={}, **kwargs of toy_training.config) -> Run"""
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    # The server imports once; python < 3.12 hands it no sys.path, so the environment does.
    before = os.environ.get('PYTHONPATH')
    os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(HERE), before]))
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['toy_preload'])
    sys.path.insert(0, str(HERE))
    runs = []

    def begin(environment=None, **kwargs) -> Run:
        runs.append(Run(context, kwargs, environment or {}))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.is_alive():
            run.kill()
    sys.path.remove(str(HERE))
    if before is None:
        del os.environ['PYTHONPATH']
    else:
        os.environ['PYTHONPATH'] = before


@pytest.fixture
def start_two(start):
    """start_two(work_dir=..., **kwargs) -> two Runs that train together, as torchrun would start them."""

    def begin(**kwargs) -> list[Run]:
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        return [start(environment={'RANK': str(rank), 'LOCAL_RANK': str(rank), 'WORLD_SIZE': '2',
                                   'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)},
                      launcher='pytorch', **kwargs) for rank in range(2)]
    return begin


@pytest.fixture(scope='session')
def toy():
    """The module toy_training, to train in this process."""
    sys.path.insert(0, str(HERE))
    import toy_preload
    yield toy_preload.toy_training
    sys.path.remove(str(HERE))


@pytest.fixture
def torchrun():
    """torchrun(processes, **kwargs of toy_training.config) -> subprocess.CompletedProcess"""

    def run(processes: int, **kwargs) -> subprocess.CompletedProcess:
        command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}',
                   str(HERE / 'toy_training.py'), json.dumps(dict(kwargs, launcher='pytorch'))]
        return subprocess.run(command, capture_output=True, text=True, timeout=120,
                              env=dict(os.environ, OMP_NUM_THREADS='1'))
    return run
