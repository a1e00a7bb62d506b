"""The ImageNet recipe of KAT runs whole: augmentation, mixed labels, and the moving average that is tested and saved."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmxf  # noqa: F401
from mmxf.config import load_config
from mmxf.registry import HOOKS

CONFIG = Path(__file__).resolve().parents[2] / 'configs/kat/kat_t_imagenet.py'
SEEN: dict = {}


@HOOKS.register_module()
class RecordHook(Hook):
    """Keeps the head's bias after each iteration and as it is tested, and the batches."""

    priority = 'VERY_LOW'

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        SEEN.setdefault('trained', []).append(runner.model.head.fc.bias.detach().clone())

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        SEEN['tested'] = runner.model.head.fc.bias.detach().clone()


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp('imagenet')
    rng = np.random.default_rng(0)
    for split, count in (('train', 4), ('val', 2)):
        for name in ('n01', 'n02'):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                cv2.imwrite(str(root / split / name / f'{i}.jpg'), rng.integers(0, 255, (50, 60, 3), np.uint8))
    return root


def test_two_iterations_with_all_of_it(images, tmp_path, monkeypatch):
    from mmxf.datasets.transforms.rand_augment import RandAugment
    from mmxf.tasks import image_mixing

    SEEN.clear()
    calls = dict(augment=0, erase=0, mix=[])
    augment, erase, mix = RandAugment.transform, image_mixing.erase, image_mixing.ClassificationPreprocessor._mix

    def counted_augment(self, results):
        calls['augment'] += 1
        return augment(self, results)

    def counted_erase(inputs, share):
        calls['erase'] += share == 0.25
        return erase(inputs, share)

    def counted_mix(self, inputs, targets):
        out = mix(self, inputs, targets)
        calls['mix'].append(out[1])
        return out

    monkeypatch.setattr(RandAugment, 'transform', counted_augment)
    monkeypatch.setattr(image_mixing, 'erase', counted_erase)
    monkeypatch.setattr(image_mixing.ClassificationPreprocessor, '_mix', counted_mix)
    # The recipe as it is, but for sizes, data and length.
    cfg = load_config(CONFIG, {
        'data_root': f'{images}/', 'num_classes': 2, 'image_size': (32, 32), 'train_dataloader.batch_size': 4,
        'channels': 48,
        **{f'{split}_dataloader.{key}': value for split in ('train', 'val', 'test')
           for key, value in (('num_workers', 0), ('persistent_workers', False))},
        'val_dataloader.batch_size': 4, 'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1,
        'default_hooks.checkpoint.interval': 1, 'work_dir': str(tmp_path), 'randomness': dict(seed=3)}, check=False)
    cfg.model.backbone.arch = dict(channels=48, depth=2, num_heads=4)
    cfg.val_evaluator = cfg.test_evaluator = [dict(type='ClassificationMetric', topk=(1, 2))]
    cfg.param_scheduler = [dict(type='ConstantLR', factor=1.0, begin=0, end=1)]        # full rate from the first iteration
    cfg.custom_hooks.append(dict(type='RecordHook'))
    Runner.from_cfg(cfg).train()

    first, second = SEEN['trained']                                                    # two iterations of four images
    assert calls['augment'] == 8 and calls['erase'] == 2
    assert len(calls['mix']) == 2
    for targets in calls['mix']:
        torch.testing.assert_close(targets.sum(1), targets.new_ones(4))
        assert (targets > 0.04).all() and (targets < 0.96).all()                       # smoothed: 0.05 at least
    # The average begins at the weights after the first iteration and has decay 0.9999.
    average = 0.9999 * first + 1e-4 * second
    assert (second - first).abs().max() > 1e-4
    torch.testing.assert_close(SEEN['tested'], average, atol=1e-9, rtol=1e-6)
    saved = torch.load(sorted(tmp_path.glob('*.pth'))[-1], weights_only=False)
    torch.testing.assert_close(saved['state_dict']['head.fc.bias'], average, atol=1e-9, rtol=1e-6)
    torch.testing.assert_close(saved['ema_state_dict']['module.head.fc.bias'] if 'module.head.fc.bias' in saved['ema_state_dict']
                               else saved['ema_state_dict']['head.fc.bias'], second)
