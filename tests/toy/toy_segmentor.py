"""The smallest model that keeps the house's model contract: tools and apis are tested with it in seconds."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from torch import nn

from mmxf.registry import MODELS


@MODELS.register_module(force=True)
class ToySegmentor(BaseModel):
    """One convolution at stride 4, one query a class, and an auxiliary head that only trains."""

    def __init__(self, *, num_classes: int, data_preprocessor=None) -> None:
        super().__init__(data_preprocessor=data_preprocessor)
        self.num_classes = num_classes
        self.backbone = nn.Conv2d(3, 8, 4, stride=4)
        self.head = nn.ModuleDict(
            dict(masks=nn.Conv2d(8, num_classes, 1), classes=nn.Linear(8, num_classes + 1))
        )
        self.auxiliary = nn.Conv2d(8, num_classes, 1)
        self.auxiliary.training_only = True

    def forward(self, inputs, data_samples=None, mode='tensor'):
        features = self.backbone(inputs)  # (B, 8, h, w)
        masks = self.head['masks'](features)  # (B, K, h, w)
        if mode == 'tensor':
            pooled = features.mean((2, 3))[:, None].expand(-1, self.num_classes, -1)
            return dict(class_logits=self.head['classes'](pooled), mask_logits=masks, pixel_features=features)
        if mode == 'loss':
            loss = 0
            for mask, sample in zip(masks + self.auxiliary(features), data_samples):
                index = sample.gt_panoptic_index.data[0]
                labels = sample.gt_instances.labels[index.clamp(min=0)].masked_fill(index < 0, -1)
                mask = F.interpolate(mask[None], index.shape)
                loss = loss + F.cross_entropy(mask, labels[None], ignore_index=-1)
            return dict(loss_pixel=loss)
        for mask, sample in zip(masks, data_samples):
            label = F.interpolate(mask[None], sample.ori_shape).argmax(1)  # (1, H, W)
            sample.pred_panoptic_seg = PixelData(sem_seg=label + 1000)
        return data_samples


@MODELS.register_module(force=True)
class BrokenSegmentor(ToySegmentor):
    """Cannot run."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        raise RuntimeError('this model is broken')


def set_all(model: nn.Module, label: int) -> None:
    """Make every pixel ``label``."""
    with torch.no_grad():
        model.head['masks'].weight.zero_()
        model.head['masks'].bias.zero_()
        model.head['masks'].bias[label] = 1
