"""dist_*.sh and slurm_*.sh: OpenMMLab's order of arguments, what reaches torchrun and srun."""

import os
import signal
import stat
import subprocess
import time
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
                    'MAX_RESTARTS', 'GRACE', 'SLURM_JOB_ID', 'TASKS')
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


# Ends with the statuses of the file, in turn; leaves the mark of a preempted run for those that say so, as the run does.
SRUN = """#!/usr/bin/env bash
echo "$@" >> "$RECORD"
read -r status mark < "$STATUSES"
sed -i 1d "$STATUSES"
trap 'echo told >> "$RECORD"; exit 75' USR1
[ "$status" != wait ] || { touch "$WORK_DIR/listening"; for _ in {1..1200}; do sleep 1; done; }
[ -z "${mark:-}" ] || echo '{"signal": "SIGTERM", "job": "41"}' > "$WORK_DIR/preempted.json"
exit "$status"
"""
# What slurm 22.05 says of a job.
SCONTROL = """#!/usr/bin/env bash
if [ "$*" = "-o show job ${SLURM_JOB_ID:-41}" ]; then
    read -r said < "$SAYS"
    [ "$(wc -l < "$SAYS")" = 1 ] || sed -i 1d "$SAYS"
    echo "JobId=$4 JobName=x $said BatchFlag=${BATCH:-0} Reboot=0"
else
    echo scontrol "$@" >> "$RECORD"
fi
"""
RUNNING, CANCELLED, FAILED = (f'JobState={state} Reason=None' for state in ('RUNNING', 'CANCELLED', 'FAILED'))
ENDING, TIMEOUT = 'JobState=COMPLETING Reason=None', 'JobState=COMPLETING Reason=TimeLimit'


@pytest.fixture
def requeue(tmp_path):
    """requeue(statuses of srun, what slurm says of the job, **environment) -> process of slurm_train.sh --requeue, and a
    function that gives the lines of what was called."""
    for name, text in (('srun', SRUN), ('scontrol', SCONTROL), ('sleep', '#!/bin/sh\nexec /bin/sleep 0.05\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    record, work_dir, left, says = (tmp_path / name for name in ('record', 'work', 'statuses', 'says'))
    work_dir.mkdir()
    (work_dir / 'preempted.json').touch()    # of an earlier start: says nothing about this one
    started = []

    def start(statuses, said, script=TOOLS / 'slurm_train.sh', options=('--amp',), **env):
        left.write_text('\n'.join(statuses) + '\n')
        says.write_text('\n'.join(said) + '\n')
        clean = {k: v for k, v in os.environ.items() if not k.startswith('SLURM_') and k not in ('GRACE', 'SRUN_ARGS', 'GPUS')}
        clean |= {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'RECORD': str(record), 'STATUSES': str(left),
                  'WORK_DIR': str(work_dir), 'SAYS': str(says), **env}
        started.append(subprocess.Popen(
            ['bash', str(script), '--requeue', 'part', 'job', 'c.py', str(work_dir), *options],
            env=clean, stderr=subprocess.PIPE, text=True, cwd=tmp_path))
        return started[-1], lambda: record.read_text().splitlines()

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize('statuses, said, starts, end', [
    (['75', '75', '0'], [FAILED], 3, 0),
    (['137 mark', '0'], [FAILED], 2, 0),    # srun's own word for processes that it killed after the first had left
    (['138', '0'], [FAILED], 2, 0),         # USR1 before python could listen
    (['75 mark', '0'], [ENDING, ENDING, 'JobState=PREEMPTED Reason=None'], 2, 0),
    (['75 mark'], [ENDING, ENDING, CANCELLED], 1, 75),    # scancel
    (['137'], [FAILED], 1, 137),            # a crash
    (['1 mark'], [FAILED], 1, 1),
])
def test_requeue_by_a_new_srun(requeue, statuses, said, starts, end):
    run, called = requeue(statuses, said)
    assert run.wait(60) == end, run.stderr.read()
    assert len(called()) == starts
    for call in called():
        assert '--signal=USR1@120' in call and call.endswith('--launcher slurm --amp --resume')


@pytest.mark.parametrize('status, said, end, requeued', [
    ('75', RUNNING, 0, True),               # USR1, or TERM of a preemption with time to go
    ('143 mark', RUNNING, 0, True),
    ('75', TIMEOUT, 0, True),
    ('75', ENDING, 75, False),              # scancel, or slurm has requeued it: again would bring a cancelled job back to life
    ('0', RUNNING, 0, False),
    ('143', RUNNING, 143, False),
])
def test_requeue_of_a_batch_job(requeue, status, said, end, requeued):
    run, called = requeue([status], [RUNNING, said], SLURM_JOB_ID='42', BATCH='1')
    assert run.wait(60) == end, run.stderr.read()
    assert '--signal' not in called()[0], 'which srun would not heed in a job'
    assert called()[1:] == ['scontrol requeue 42'] * requeued


def test_a_job_that_is_no_batch_job_starts_again_inside_of_it(requeue):
    run, called = requeue(['75', '0'], [RUNNING], SLURM_JOB_ID='42')
    assert run.wait(60) == 0, run.stderr.read()
    assert len(called()) == 2 and not any('scontrol' in call for call in called())


@pytest.mark.parametrize('number', [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_to_the_batch_script_reaches_the_run(requeue, tmp_path, number):
    """As `sbatch --signal=B:USR1@120` sends it, which does not end the script before the run has saved."""
    run, called = requeue(['wait'], [RUNNING], SLURM_JOB_ID='42', BATCH='1')
    while not (tmp_path / 'work' / 'listening').exists():
        assert run.poll() is None, run.stderr.read()
        time.sleep(0.01)
    run.send_signal(number)
    assert run.wait(60) == 0, run.stderr.read()
    assert called()[1:] == ['told', 'scontrol requeue 42']


def test_a_flag_of_the_user_and_a_script_copied_by_sbatch(requeue, tmp_path):
    copy = tmp_path / 'slurm_script'
    copy.write_text((TOOLS / 'slurm_train.sh').read_text())
    run, called = requeue(['0'], [RUNNING], copy, ('--resume', 'x.pth'), SLURM_SUBMIT_DIR=str(TOOLS.parent))
    assert run.wait(60) == 0, run.stderr.read()
    assert called()[0].endswith(f'{TOOLS}/train.py c.py --work-dir={tmp_path / "work"} --launcher slurm --resume x.pth')


@pytest.mark.parametrize('script, last', [('slurm_train.sh', 'work'), ('slurm_test.sh', 'w.pth')])
def test_processes_on_the_cpu(launch, script, last):
    called = launch(script, 'part', 'job', 'c.py', last, GPUS='0', TASKS='2', CPUS_PER_TASK='1')
    assert called[:6] == ['srun', '-p', 'part', '--job-name=job', '--ntasks=2', '--cpus-per-task=1']
    assert not any('gres' in word for word in called)


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
