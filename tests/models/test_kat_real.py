"""KAT learns real data: crops of blood cells (BCCD). A small model, random weights."""
import json
from pathlib import Path

import pytest
import torch

import mmxf  # noqa: F401
from mmxf.config import load_config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs/kat'
CELLS = ('RBC', 'WBC', 'Platelets')


def train(name: str, options: dict, work_dir: Path, iterations: int) -> list[dict]:
    """Runs a mini config with other data; returns what was logged."""
    from mmengine.runner import Runner

    torch.manual_seed(0)
    loaders = {f'{split}_dataloader.{key}': value for split in ('train', 'val', 'test')
               for key, value in (('num_workers', 0), ('persistent_workers', False))}
    cfg = load_config(CONFIGS / f'{name}.py', {
        **loaders, 'work_dir': str(work_dir), 'train_cfg.max_iters': iterations, 'train_cfg.val_interval': iterations,
        'train_cfg.dynamic_intervals': None, 'default_hooks.checkpoint.interval': iterations, 'val_cfg': dict(type='ValLoop'),
        **options}, check=False)
    for scheduler in cfg.param_scheduler[1:]:
        scheduler.end = iterations
    Runner.from_cfg(cfg).train()
    return [json.loads(line) for line in next(work_dir.rglob('scalars.json')).read_text().splitlines()]


def logged(log: list[dict], key: str) -> list[float]:
    return [line[key] for line in log if key in line]


def cells(real_data: Path, split: str, **kwargs) -> dict:
    return dict(type='mmdet.XMLDataset', data_root=str(real_data / 'bccd'), ann_file=f'ImageSets/Main/{split}.txt',
                data_prefix=dict(sub_data_root=''), img_subdir='JPEGImages', ann_subdir='Annotations',
                metainfo=dict(classes=CELLS), **kwargs)


@pytest.mark.slow
def test_blood_cells_are_told_apart(real_data, tmp_path):
    log = train('kat_t_mini', {
        'classes': CELLS, 'num_classes': 3, 'train_dataloader.batch_size': 48,
        'train_dataloader.dataset.dataset': cells(real_data, 'train', filter_cfg=dict(bbox_min_size=2)),
        'val_dataloader.dataset.dataset': cells(real_data, 'val', test_mode=True)}, tmp_path, 150)
    top1, mean, majority = (logged(log, f'accuracy/{key}')[-1] for key in ('top1', 'mean_class', 'majority'))
    assert top1 > majority + 6 and mean > 85, (top1, mean, majority)
