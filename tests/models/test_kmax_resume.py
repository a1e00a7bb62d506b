"""A kMaX-DeepLab training that is killed and resumed ends with the same bits as a deterministic one."""
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmxf.engine import load_file

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ['train_cfg.max_iters=8', 'train_cfg.val_interval=100', 'train_cfg.dynamic_intervals=None',
           'train_dataloader.batch_size=2',
           'default_hooks.checkpoint.interval=2', 'default_hooks.checkpoint.max_keep_ckpts=10',
           'default_hooks.logger.interval=1', 'model.head.decoder.drop_path=0.3', 'model.head.recompute=True']


HOOK = "dict(type='KillHook', after='iter_4.pth', within=3.0, before=7)"


def train(data: Path, work_dir: Path, *more: str, config: Path = ROOT / 'configs/kmax/kmax_r18_mini.py') -> tuple[int, str]:
    """Trains in a process of its own, with two threads, whose sums must have an order. Returns exit code and output."""
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/train.py'), str(config), '--no-validate', '--work-dir', str(work_dir), *more,
         '--cfg-options', f'data_root={data}/', *OPTIONS], capture_output=True, text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '2', 'PYTHONPATH': f'{ROOT}:{Path(__file__).parent}'})
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    data, config = tmp_path / 'miniworld', tmp_path / 'killed.py'
    config.write_text(f"_base_ = [{str(ROOT / 'configs/kmax/kmax_r18_mini.py')!r}]\n"
                      f"custom_imports = dict(imports=['training_hooks'])\ncustom_hooks = [*_base_.custom_hooks, {HOOK}]\n")
    subprocess.run([sys.executable, str(ROOT / 'tools/make_miniworld.py'), '--root', str(data), '--train', '6', '--val', '1',
                    '--size', '128', '128'], check=True, capture_output=True)
    status, said = train(data, tmp_path / 'whole', '--deterministic')
    assert status == 0 and 'Deterministic run: seed 0' in said and 'was met: the same seed gives the same bits' in said
    assert train(data, tmp_path / 'killed', config=config)[0] == -signal.SIGKILL
    assert (tmp_path / 'killed' / 'iter_4.pth').exists() and not (tmp_path / 'killed' / 'iter_8.pth').exists()
    assert train(data, tmp_path / 'killed', '--resume')[0] == 0

    whole, resumed = (load_file(tmp_path / name / 'iter_8.pth') for name in ('whole', 'killed'))
    assert whole['state_dict'].keys() == resumed['state_dict'].keys()
    different = [key for key, value in whole['state_dict'].items() if not torch.equal(value, resumed['state_dict'][key])]
    assert not different
