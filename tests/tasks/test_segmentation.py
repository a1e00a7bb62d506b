"""What PanopticSegmentor makes where."""
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData

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


def test_targets_of_a_validation_reach_as_far_as_the_padded_image():
    """A lying image of 91 x 128, padded to 128 x 128 by the preprocessor: the loss is that of targets padded with void."""
    model = MODELS.build(load_config(ROOT / 'configs/kmax/kmax_r18_mini.py').model).eval()
    inputs = torch.randn(1, 3, 128, 128)
    index = torch.zeros(1, 23, 32, dtype=torch.long)

    def loss(data) -> dict:
        sample = DetDataSample(gt_instances=InstanceData(labels=torch.tensor([2])), gt_panoptic_index=PixelData(data=data))
        torch.manual_seed(0)
        with torch.no_grad():
            return {name: float(value) for name, value in model(inputs, [sample], mode='loss').items()}

    assert loss(index) == loss(F.pad(index, (0, 0, 0, 9), value=-1)) != loss(F.pad(index, (0, 0, 0, 9)))
    model.train()
    with pytest.raises(ValueError, match='the targets are'):
        model(inputs, [DetDataSample(gt_instances=InstanceData(labels=torch.tensor([2])),
                                     gt_panoptic_index=PixelData(data=index))], mode='loss')
