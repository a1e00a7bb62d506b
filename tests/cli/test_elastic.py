"""torchrun starts a run anew after a process of it was killed: it resumes, and does not hang."""
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmxf.engine.elastic import resume_after_restart

ROOT = Path(__file__).parents[2]
DATA = ROOT / 'tests' / 'config' / 'data'
HOOK = f'''
import os, signal
from mmengine.hooks import Hook
from mmxf.registry import HOOKS

@HOOKS.register_module()
class DieOnce(Hook):
    """Rank 1 of the first attempt is killed in its third iteration."""

    def before_train(self, runner):
        # In one piece: the other rank writes there, too.
        os.write(1, f"attempt {{os.environ['TORCHELASTIC_RESTART_COUNT']}} from iteration {{runner.iter}}\\n".encode())

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if os.environ['TORCHELASTIC_RESTART_COUNT'] == '0' and os.environ['RANK'] == '1' and runner.iter == 2:
            os.kill(os.getpid(), {int(signal.SIGKILL)})
'''


def two_processes(folder: Path, hook: str, source: str, iterations: int, interval: int) -> dict:
    """How to start a run in two processes, which may be started again once, with a hook and a checkpoint every `interval`."""
    (folder / 'its_hook.py').write_text(source)
    config = folder / 'toy_run.py'
    config.write_text(f"_base_ = [{str(DATA / 'toy.py')!r}]\n"
                      f"custom_imports = dict(imports=['toy_parts', 'its_hook'])\ncustom_hooks = [dict(type={hook!r})]\n"
                      f"train_cfg = dict(type='ExactIterBasedTrainLoop', max_iters={iterations})\n"
                      f"default_hooks = dict(checkpoint=dict(type='AtomicCheckpointHook', interval={interval}))\n")
    return dict(args=['bash', str(ROOT / 'tools/dist_train.sh'), str(config), '2', '--no-validate'], cwd=folder, text=True,
                env={**os.environ, 'PYTHONPATH': f'{ROOT}:{DATA}:{folder}', 'OMP_NUM_THREADS': '1', 'MAX_RESTARTS': '1',
                     'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'})


@pytest.mark.slow
def test_a_killed_worker_leads_to_a_resumed_run(tmp_path):
    if torch.cuda.is_available():
        pytest.skip('with a GPU, processes train on GPUs')
    done = subprocess.run(**two_processes(tmp_path, 'DieOnce', HOOK, iterations=4, interval=1), capture_output=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert 'attempt 0 from iteration 0' in said and 'attempt 1 from iteration 2' in said, said
    assert 'Attempt 2 of torchrun: resuming from iter_2.pth' in said
    assert (tmp_path / 'work_dirs' / 'toy_run' / 'iter_4.pth').is_file()


SLOWLY = '''
import time
from pathlib import Path
from mmengine.hooks import Hook
from mmxf.registry import HOOKS

@HOOKS.register_module()
class Slowly(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        Path(f'{runner.work_dir}/iteration_{runner.iter}').touch()
        time.sleep(0.1)
'''


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_to_the_launcher_saves_and_is_not_undone_by_a_restart(number, tmp_path):
    if torch.cuda.is_available():
        pytest.skip('with a GPU, processes train on GPUs')
    run = subprocess.Popen(**two_processes(tmp_path, 'Slowly', SLOWLY, iterations=600, interval=1000), stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT)
    folder = tmp_path / 'work_dirs' / 'toy_run'
    deadline = time.monotonic() + 120
    while not (folder / 'iteration_2').exists():
        assert run.poll() is None and time.monotonic() < deadline, run.communicate()[0]
        time.sleep(0.1)
    run.send_signal(number)
    said = run.communicate(timeout=120)[0]
    assert run.returncode == 75, said
    assert 'SIGUSR1 received' in said and 'with status 75' in said and 'starts it again in vain' in said
    saved = json.loads((folder / 'preempted.json').read_text())
    assert saved['iteration'] < 600 and Path(saved['checkpoint']).is_file()


def test_only_what_this_run_saved_is_resumed(tmp_path, monkeypatch):
    def attempt(number: int) -> tuple[str | None, dict]:
        monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', str(number))
        cfg = dict(work_dir=str(tmp_path), resume=False, load_from='weights.pth')
        return resume_after_restart(cfg), cfg

    monkeypatch.setenv('TORCHELASTIC_MAX_RESTARTS', '3')
    pointer = tmp_path / 'last_checkpoint'
    pointer.write_text(str(tmp_path / 'iter_9.pth'))
    os.utime(pointer, (1, 1))  # of an earlier run in the same folder
    assert attempt(0)[0] is None
    said, cfg = attempt(1)
    assert 'nothing saved yet' in said and cfg['load_from'] == 'weights.pth' and not cfg['resume']
    pointer.write_text(str(tmp_path / 'iter_3.pth'))
    said, cfg = attempt(2)
    assert said == 'Attempt 3 of torchrun: resuming from iter_3.pth' and cfg['resume'] and cfg['load_from'] is None
    monkeypatch.delenv('TORCHELASTIC_RESTART_COUNT')
    assert resume_after_restart(cfg) is None
