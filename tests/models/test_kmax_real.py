"""kMaX-DeepLab on real COCO panoptic images: a small model fits two of them."""
import json
from pathlib import Path

import pytest
import torch

import mmxf  # noqa: F401
from mmxf.config import load_config

ROOT = Path(__file__).resolve().parents[2]
SIZE = (352, 512)     # one image fills its width and height, the other its width


def config(real_data: Path, work_dir: Path):
    """The mini config on the two images, without augmentation: what is tested is that the model can fit what it sees."""
    folder = real_data / 'coco_panoptic'
    loading = [dict(type='LoadImageFromFile')]
    dataset = dict(type='CocoPanoptic', data_root=str(folder), ann_file='annotations/panoptic_val2017.json',
                   data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'))
    train = [*loading, dict(type='LoadPanopticSegments'), dict(type='LargeScaleJitter', size=SIZE, scale_range=(1.0, 1.0)),
             dict(type='PadToSize', size=SIZE), dict(type='PackPanopticInputs', mask_stride=4)]
    test = [*loading, dict(type='ResizeToFit', size=SIZE), dict(type='PackPanopticInputs')]
    cfg = load_config(ROOT / 'configs/kmax/kmax_r18_mini.py', {
        'image_size': SIZE, 'work_dir': str(work_dir), 'train_cfg.max_iters': ITERATIONS,
        'train_cfg.val_interval': ITERATIONS, 'train_cfg.dynamic_intervals': None,
        'default_hooks.checkpoint.interval': ITERATIONS, 'train_dataloader.batch_size': 2,
        'train_dataloader.num_workers': 0, 'val_dataloader.num_workers': 0, 'test_dataloader.num_workers': 0,
        'train_dataloader.persistent_workers': False, 'val_dataloader.persistent_workers': False,
        'test_dataloader.persistent_workers': False,
        'train_dataloader.dataset': dict(**dataset, pipeline=train), 'val_dataloader.dataset': dict(
            **dataset, pipeline=test, test_mode=True),
        'val_evaluator': [dict(type='PanopticMetric', ann_file=str(folder / 'annotations/panoptic_val2017.json'),
                               seg_prefix=str(folder / 'annotations/panoptic_val2017'))],
        'optim_wrapper.optimizer.lr': 0.004, 'param_scheduler.0.warmup_iters': 16, 'param_scheduler.0.power': 0.6,
        'model.head.decoder.num_queries': 64, 'model.norm_momentum': 0.2, 'model.head.loss.sample_size': 1024,
        'model.head.loss.dice_weight': 6.0,
        'model.head.thing_threshold': 0.3, 'model.head.stuff_threshold': 0.3}, check=False)
    return cfg


ITERATIONS = 95        # PQ 71 to 78 with three seeds


@pytest.mark.slow
def test_kmax_fits_two_real_images(real_data, tmp_path):
    from mmengine.runner import Runner
    torch.manual_seed(0)
    runner = Runner.from_cfg(config(real_data, tmp_path))
    runner.train()
    log = next(tmp_path.rglob('scalars.json')).read_text().splitlines()
    pq = [json.loads(line)['panoptic/PQ'] for line in log if 'panoptic/PQ' in line]
    assert pq[-1] >= 70, f'PQ on the two images it was trained on: {pq}'
