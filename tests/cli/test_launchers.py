"""dist_*.sh and slurm_*.sh: OpenMMLab's order of arguments, what reaches torchrun and srun."""

import os
import stat
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / 'tools'
RECORDER = '#!/usr/bin/env bash\nprintf "%s\\n" "$(basename "$0")" "$@" > "$RECORD"\n'


@pytest.fixture
def launch(tmp_path):
    """Runs a script with fake srun and torchrun on the PATH; returns what they were called with."""
    for name in ('srun', 'torchrun'):
        fake = tmp_path / 'bin' / name
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(RECORDER)
        fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    record = tmp_path / 'record'

    def run(script: str, *args: str, **env: str) -> list[str]:
        clean = {
            k: v
            for k, v in os.environ.items()
            if k
            not in ('GPUS', 'GPUS_PER_NODE', 'CPUS_PER_TASK', 'SRUN_ARGS', 'NNODES', 'NODE_RANK', 'PORT', 'MASTER_ADDR')
        }
        clean |= {'PATH': f'{tmp_path / "bin"}:{os.environ["PATH"]}', 'RECORD': str(record), **env}
        done = subprocess.run(['bash', str(TOOLS / script), *args], env=clean, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return record.read_text().splitlines()

    return run


def test_dist_train(launch):
    called = launch('dist_train.sh', 'c.py', '4', '--resume', '--cfg-options', 'a=x y')
    assert called == [
        'torchrun',
        '--nnodes=1',
        '--node_rank=0',
        '--master_addr=127.0.0.1',
        '--master_port=29500',
        '--nproc_per_node=4',
        f'{TOOLS}/train.py',
        'c.py',
        '--launcher',
        'pytorch',
        '--resume',
        '--cfg-options',
        'a=x y',
    ]


def test_dist_test_on_several_machines(launch):
    called = launch(
        'dist_test.sh',
        'c.py',
        'w.pth',
        '8',
        '--out',
        'o.json',
        NNODES='2',
        NODE_RANK='1',
        PORT='5',
        MASTER_ADDR='10.0.0.1',
    )
    assert called == [
        'torchrun',
        '--nnodes=2',
        '--node_rank=1',
        '--master_addr=10.0.0.1',
        '--master_port=5',
        '--nproc_per_node=8',
        f'{TOOLS}/test.py',
        'c.py',
        'w.pth',
        '--launcher',
        'pytorch',
        '--out',
        'o.json',
    ]


def test_slurm_train(launch):
    called = launch(
        'slurm_train.sh',
        'part',
        'job',
        'c.py',
        'runs/a b',
        '--amp',
        GPUS='16',
        CPUS_PER_TASK='3',
        SRUN_ARGS='--quotatype=auto --time=1',
    )
    assert called == [
        'srun',
        '-p',
        'part',
        '--job-name=job',
        '--gres=gpu:8',
        '--ntasks=16',
        '--ntasks-per-node=8',
        '--cpus-per-task=3',
        '--kill-on-bad-exit=1',
        '--quotatype=auto',
        '--time=1',
        'python',
        '-u',
        f'{TOOLS}/train.py',
        'c.py',
        '--work-dir=runs/a b',
        '--launcher',
        'slurm',
        '--amp',
    ]


def test_slurm_test_with_fewer_gpus_than_a_node(launch):
    called = launch('slurm_test.sh', 'part', 'job', 'c.py', 'w.pth', '--tta', GPUS='2')
    assert called == [
        'srun',
        '-p',
        'part',
        '--job-name=job',
        '--gres=gpu:2',
        '--ntasks=2',
        '--ntasks-per-node=2',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
        'python',
        '-u',
        f'{TOOLS}/test.py',
        'c.py',
        'w.pth',
        '--launcher',
        'slurm',
        '--tta',
    ]


@pytest.mark.parametrize(
    ('script', 'args'),
    [
        ('dist_train.sh', ['c.py']),
        ('dist_test.sh', ['c.py', 'w.pth']),
        ('slurm_train.sh', ['p', 'j', 'c.py']),
        ('slurm_test.sh', ['p', 'j']),
    ],
)
def test_missing_arguments_print_the_usage(script, args):
    done = subprocess.run(['bash', str(TOOLS / script), *args], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith('usage:')
