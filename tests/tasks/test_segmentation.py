"""What PanopticSegmentor makes where."""
from pathlib import Path

import torch
from mmdet.structures import DetDataSample

from mmxf.config import load_config
from mmxf.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
FIELDS = {'panoptic': 'pred_panoptic_seg', 'instance': 'pred_instances', 'semantic': 'pred_sem_seg'}


def test_validation_makes_less_than_test():
    cfg = load_config(ROOT / 'configs/kmax/kmax_r18_mini.py', {
        'model.outputs': ('panoptic', 'instance', 'semantic'), 'model.val_outputs': ('panoptic',)})
    model = MODELS.build(cfg.model).eval()
    image = torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8)

    def fields(step) -> set[str]:
        sample = DetDataSample(metainfo=dict(img_shape=(128, 128), ori_shape=(60, 60)))
        (result,) = step({'inputs': [image], 'data_samples': [sample]})
        return {name for name, field in FIELDS.items() if field in result}

    assert fields(model.val_step) == {'panoptic'}
    assert fields(model.test_step) == set(FIELDS)
