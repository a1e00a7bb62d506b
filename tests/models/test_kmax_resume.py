"""A kMaX-DeepLab training that is killed and resumed ends with the same bits."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmxf.engine import load_file

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ['train_cfg.max_iters=8', 'train_cfg.val_interval=100', 'train_cfg.dynamic_intervals=None',
           'train_dataloader.batch_size=2',
           'default_hooks.checkpoint.interval=2', 'default_hooks.checkpoint.max_keep_ckpts=10',
           'default_hooks.logger.interval=1', 'model.head.decoder.drop_path=0.3']


def command(data: Path, work_dir: Path, *more: str) -> list[str]:
    return [sys.executable, str(ROOT / 'tools/train.py'), str(ROOT / 'configs/kmax/kmax_r18_mini.py'), '--no-validate',
            '--work-dir', str(work_dir), *more, '--cfg-options', f'data_root={data}/', *OPTIONS]


@pytest.mark.slow
def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
    data = tmp_path / 'miniworld'
    subprocess.run([sys.executable, str(ROOT / 'tools/make_miniworld.py'), '--root', str(data), '--train', '6', '--val', '1',
                    '--size', '128', '128'], check=True, capture_output=True)
    subprocess.run(command(data, tmp_path / 'whole'), check=True, capture_output=True, env=environment)

    killed = subprocess.Popen(command(data, tmp_path / 'killed'), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=environment, start_new_session=True)
    end = time.monotonic() + 240
    while not (tmp_path / 'killed' / 'iter_4.pth').exists():
        assert killed.poll() is None and time.monotonic() < end, 'the training ended before it could be killed'
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / 'killed' / 'iter_8.pth').exists()
    subprocess.run(command(data, tmp_path / 'killed', '--resume'), check=True, capture_output=True, env=environment)

    whole, resumed = (load_file(tmp_path / name / 'iter_8.pth') for name in ('whole', 'killed'))
    assert whole['state_dict'].keys() == resumed['state_dict'].keys()
    different = [key for key, value in whole['state_dict'].items() if not torch.equal(value, resumed['state_dict'][key])]
    assert not different
