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
            not in ('GPUS', 'GPUS_PER_NODE', 'CPUS_PER_TASK', 'SRUN_ARGS', 'NNODES', 'NODE_RANK', 'PORT', 'MASTER_ADDR',
                    'MAX_RESTARTS', 'GRACE', 'SLURM_JOB_ID')
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
        '--standalone',
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


def test_a_port_for_each_job(launch):
    """torchrun finds a free one on a single machine; several machines make the same from the same command."""
    two = {'NNODES': '2', 'MASTER_ADDR': '10.0.0.1'}

    def port(*args, **env):
        return next(word for word in launch('dist_train.sh', *args, **two, **env) if 'master_port' in word)

    first = port('c.py', '8', NODE_RANK='0')
    assert first == port('c.py', '8', NODE_RANK='1') != port('d.py', '8', NODE_RANK='0')
    assert 20000 <= int(first.rpartition('=')[2]) < 32768
    assert '--master_port=7' in launch('dist_train.sh', 'c.py', '8', PORT='7')
    assert '--max-restarts=3' in launch('dist_train.sh', 'c.py', '8', MAX_RESTARTS='3')


# Ends with the statuses of the file, in turn; leaves the mark of a preempted run for those that say so.
SRUN = """#!/usr/bin/env bash
echo "$@" >> "$RECORD"
read -r status mark < "$STATUSES"
sed -i 1d "$STATUSES"
[ -z "${mark:-}" ] || touch "$WORK_DIR/preempted.json"
exit "$status"
"""


@pytest.mark.parametrize('statuses, job, starts, end, requeued', [
    (['75', '75', '0'], '', 3, 0, False),
    (['137 mark', '0'], '', 2, 0, False),    # srun's own word for processes that it killed after the first had left
    (['137'], '', 1, 137, False),            # a crash
    (['1 mark'], '', 1, 1, False),
    (['75', '0'], '42', 1, 0, True),
])
def test_requeue(tmp_path, statuses, job, starts, end, requeued):
    for name, text in (('srun', SRUN), ('scontrol', '#!/usr/bin/env bash\necho scontrol "$@" >> "$RECORD"\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    record, work_dir, left = tmp_path / 'record', tmp_path / 'work', tmp_path / 'statuses'
    work_dir.mkdir()
    left.write_text('\n'.join(statuses) + '\n')
    (work_dir / 'preempted.json').touch()    # of an earlier start: says nothing about this one
    env = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'RECORD': str(record), 'STATUSES': str(left), 'WORK_DIR': str(work_dir)}
    if job:
        env['SLURM_JOB_ID'] = job
    done = subprocess.run(['bash', str(TOOLS / 'slurm_train.sh'), '--requeue', 'part', 'job', 'c.py', str(work_dir), '--amp'],
                          env=env, capture_output=True, text=True)
    assert done.returncode == end, done.stderr
    calls = record.read_text().splitlines()
    assert [call.startswith('scontrol') for call in calls] == [False] * starts + [True] * requeued
    for call in calls[:starts]:
        assert '--signal=USR1@120' in call and call.endswith('--launcher slurm --amp --resume')
    assert not requeued or calls[-1] == 'scontrol requeue 42'


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
