"""Two real processes under tools/slurm_train.sh, with slurm's variables and without slurm: they meet, stop and go on."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
DATA = ROOT / 'tests' / 'config' / 'data'
# Starts the processes as srun does; ends with the highest status.
SRUN = f'''#!{sys.executable}
import os, subprocess, sys
tasks = next(int(word.partition('=')[2]) for word in sys.argv if word.startswith('--ntasks='))
program = [sys.executable, *sys.argv[sys.argv.index('python') + 1:]]
step = dict(SLURM_JOB_ID=str(os.getppid()), SLURM_STEP_ID='0', SLURM_STEP_NUM_TASKS=str(tasks), SLURM_NTASKS=str(tasks),
            SLURM_STEP_NODELIST='localhost')
runs = [subprocess.Popen(program, env=dict(os.environ, **step, SLURM_PROCID=str(i), SLURM_LOCALID=str(i)))
        for i in range(tasks)]
sys.exit(max(run.wait() for run in runs))
'''
# Rank 1 gets slurm's signal while the config is being read.
TOLD_ONCE = '''
import os, signal
from pathlib import Path

told = Path(__file__).with_name('told')
if os.environ.get('SLURM_PROCID') == '1' and not told.exists():
    told.touch()
    os.kill(os.getpid(), signal.SIGUSR1)
'''


@pytest.mark.slow
def test_two_processes_told_before_they_could_save(tmp_path):
    if torch.cuda.is_available():
        pytest.skip('with a GPU, processes train on GPUs')
    for name, text in (('srun', SRUN), ('scontrol', '#!/bin/sh\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / 'told_once.py').write_text(TOLD_ONCE)
    config = tmp_path / 'toy_run.py'
    config.write_text(f"_base_ = [{str(DATA / 'toy.py')!r}]\n"
                      "custom_imports = dict(imports=['toy_parts', 'told_once'])\n"
                      "train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters=3)\n"
                      "default_hooks = dict(checkpoint=dict(type='AtomicCheckpointHook', interval=3))\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith(('SLURM_', 'MASTER_', 'SRUN_'))}
    done = subprocess.run(
        ['bash', str(ROOT / 'tools/slurm_train.sh'), '--requeue', 'part', 'job', str(config), 'work', '--no-validate'],
        cwd=tmp_path, text=True, capture_output=True,
        env={**env, 'PYTHONPATH': f'{ROOT}:{DATA}:{tmp_path}', 'OMP_NUM_THREADS': '1', 'GPUS': '0', 'TASKS': '2',
             'PATH': f'{tmp_path}:{env["PATH"]}'})
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert '(2 a process x 2 processes)' in said, said
    assert 'SIGUSR1 received' in said and 'saving at iteration 1' in said, said
    assert said.count('the run was preempted; starting it again') == 1, said
    assert 'iter: 1' in said and (tmp_path / 'work' / 'iter_3.pth').is_file(), said
    assert not (tmp_path / 'work' / 'preempted.json').exists()


def test_train_that_srun_did_not_start(tmp_path):
    """In a batch script slurm's variables of a task are there, too; waiting for the others would last for ever."""
    script = dict(SLURM_JOB_ID='7', SLURM_NTASKS='2', SLURM_PROCID='0', SLURM_LOCALID='0', SLURM_NODELIST='localhost')
    config = tmp_path / 'toy_run.py'
    config.write_text(f"_base_ = [{str(DATA / 'toy.py')!r}]\ncustom_imports = dict(imports=['toy_parts'])\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith('SLURM_')}
    done = subprocess.run([sys.executable, str(ROOT / 'tools/train.py'), str(config), '--launcher', 'slurm'], cwd=tmp_path,
                          text=True, capture_output=True, timeout=300, env={**env, **script, 'PYTHONPATH': f'{ROOT}:{DATA}'})
    assert done.returncode == 1 and 'expects to be started by srun' in done.stderr, done.stderr
