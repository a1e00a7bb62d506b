"""kMaX-DeepLab in two processes (gloo) has the losses of one process with the same global batch."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmxf.engine import load_file

ROOT = Path(__file__).resolve().parents[2]
# Neither chance nor batch statistics: both belong to a process. All 32 x 32 pixels are drawn.
CONFIG = f"""
_base_ = [{str(ROOT / 'configs/kmax/kmax_r18_mini.py')!r}]
custom_imports = dict(imports=['training_hooks'])
custom_hooks = [*_base_.custom_hooks, dict(type='RecordHook')]
model = dict(head=dict(decoder=dict(drop_path=0.), loss=dict(sample_size=1024, semantic_sample_size=0)))
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadPanopticSegments'), dict(type='PackPanopticInputs', mask_stride=4)]))
train_cfg = dict(max_iters=4)
param_scheduler = None
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=1e-3, weight_decay=0.01))
default_hooks = dict(checkpoint=dict(interval=4))
"""


def train(config: Path, data: Path, work_dir: Path, batch: int, processes: int = 1) -> list[list[dict]]:
    """Trains in processes of their own; returns each one's losses, iteration by iteration."""
    launch = ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={processes}'] if processes > 1 else []
    done = subprocess.run(
        [sys.executable, *launch, str(ROOT / 'tools/train.py'), str(config), '--no-validate', '--work-dir', str(work_dir),
         *(['--launcher', 'pytorch'] if launch else []),
         '--cfg-options', f'data_root={data}/', f'train_dataloader.batch_size={batch}'], capture_output=True, text=True,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': f'{ROOT}:{Path(__file__).parent}'})
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads((work_dir / f'losses_{rank}.json').read_text()) for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path):
    if torch.cuda.is_available():
        pytest.skip('with a GPU, processes train on GPUs')
    data, config = tmp_path / 'miniworld', tmp_path / 'processes.py'
    config.write_text(CONFIG)
    subprocess.run([sys.executable, str(ROOT / 'tools/make_miniworld.py'), '--root', str(data), '--train', '12', '--val', '1',
                    '--size', '128', '128'], check=True, capture_output=True)
    (one,) = train(config, data, tmp_path / 'one', batch=4)
    both = train(config, data, tmp_path / 'two', batch=2, processes=2)
    assert len(one) == 4 and len(one[0]) > 10
    for iteration, expected in enumerate(one):
        for name, value in expected.items():
            mean = sum(losses[iteration][name] for losses in both) / 2
            assert mean == pytest.approx(value, rel=1e-3, abs=1e-5), (iteration, name)
    assert both[0][0]['loss'] != pytest.approx(both[1][0]['loss'], rel=1e-3), 'they see different images'
    a, b = (load_file(tmp_path / name / 'iter_4.pth')['state_dict'] for name in ('one', 'two'))
    for key, value in a.items():
        assert torch.allclose(b[key], value, rtol=1e-3, atol=1e-5), (key, (b[key] - value).abs().max())
