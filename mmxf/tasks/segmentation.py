"""Panoptic, instance and semantic segmentation: one wrapper around a backbone and a head.

Sample contract. A data sample is mmdet's DetDataSample. In training it holds `gt_instances.labels` (N,), the classes of the
image's segments, and `gt_panoptic_index` with data (1, h, w), which of them owns each pixel of the final masks, -1 for none.
Results are `pred_panoptic_seg.sem_seg` (1, H, W) in mmdet's encoding (class + 1000 x instance, instances from 1; num_classes for
no class), `pred_instances` and `pred_sem_seg`, at the size of the original image.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmxf.layers.folding import forget_folded
from mmxf.registry import MODELS

# mmdet's encoding of a panoptic pixel: class + INSTANCE_OFFSET * instance.
INSTANCE_OFFSET = 1000


@MODELS.register_module()
class PanopticSegmentor(BaseModel):
    """Backbone and head as a model of mmengine.

    Args:
        backbone: config; gives levels from fine to coarse.
        head: config; see `mmxf.models.kmax.head.KMaXHead` for what a head offers.
        data_preprocessor: config of `SegmentationPreprocessor`.
        outputs: what `predict` makes: any of 'panoptic', 'instance', 'semantic'.
        val_outputs: what it makes in the validations of a training run, where that is less.
        norm_momentum: of all batch norms, where a schedule is too short for the papers' own.
        init_cfg: mmengine's.

    Raises:
        ValueError: for an unknown output.
    """

    def __init__(self, backbone: dict, head: dict, data_preprocessor: dict | None = None, *,
                 outputs: Sequence[str] = ('panoptic',), val_outputs: Sequence[str] | None = None,
                 norm_momentum: float | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='SegmentationPreprocessor')), init_cfg)
        unknown = set(outputs).union(val_outputs or ()) - {'panoptic', 'instance', 'semantic'}
        if unknown:
            raise ValueError(f"outputs knows 'panoptic', 'instance' and 'semantic', got {sorted(unknown)}")
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(head)
        self.outputs = tuple(outputs)
        self.val_outputs = self.outputs if val_outputs is None else tuple(val_outputs)
        for module in self.modules() if norm_momentum is not None else ():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.momentum = norm_momentum
        # Convolutions are faster, and softmaxes over queries contiguous, with channels last in memory.
        self.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> 'PanopticSegmentor':
        """As of every module; training frees what evaluation kept."""
        if mode:
            forget_folded(self)
        return super().train(mode)

    @property
    def num_classes(self) -> int:
        """Real classes, void not counted."""
        return self.head.num_classes

    def checkpoint_num_classes(self, state_dict: dict[str, Tensor]) -> int | None:
        """Real classes of a checkpoint of this model, None if it does not tell."""
        return self.head.checkpoint_num_classes({key.removeprefix('head.'): value for key, value in state_dict.items()
                                                 if key.startswith('head.')})

    def val_step(self, data: dict) -> list[DetDataSample]:
        """A batch of packed samples to the results that validation looks at."""
        outputs, self.outputs = self.outputs, self.val_outputs
        try:
            return super().val_step(data)
        finally:
            self.outputs = outputs

    def forward(self, inputs: Tensor, data_samples: list[DetDataSample] | None = None, mode: str = 'tensor'):
        """Runs the model on normalised images (B, 3, H, W).

        Args:
            inputs: as the data preprocessor gives them.
            data_samples: with targets for 'loss'; with `ori_shape` and `img_shape` for 'predict', which fills them.
            mode: 'tensor' for a dict of class_logits (B, Q, K + 1), mask_logits (B, Q, h, w) and pixel_features (B, C, h, w);
                'loss' for a dict of losses; 'predict' for data samples.

        Raises:
            ValueError: for an unknown mode or an input that is no batch of images.
        """
        if inputs.dim() != 4 or inputs.shape[1] != 3:
            raise ValueError(f'inputs must be (B, 3, H, W), got {tuple(inputs.shape)}')
        features = self.backbone(inputs.contiguous(memory_format=torch.channels_last))
        if mode == 'loss':
            # A validation's images are padded by the preprocessor, to which targets of stride 4 are void.
            least = (0, 0) if self.training else tuple(-(-side // 4) for side in inputs.shape[-2:])
            return self.head.loss(features, *self._targets(data_samples, least))
        if mode == 'tensor':
            return self.head(features)._asdict()
        if mode == 'predict':
            return self._predict(features, data_samples, inputs.shape[-2:])
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    @staticmethod
    def _targets(samples: list[DetDataSample], least: tuple[int, int] = (0, 0)) -> tuple[list[Tensor], Tensor]:
        """Labels of each image's segments, and the (B, h, w) map of which segment owns which pixel, at least so large."""
        maps = [sample.gt_panoptic_index.data[0] for sample in samples]
        height, width = (max(least[i], *(m.shape[i] for m in maps)) for i in range(2))
        padded = [F.pad(m, (0, width - m.shape[1], 0, height - m.shape[0]), value=-1) for m in maps]
        return [sample.gt_instances.labels for sample in samples], torch.stack(padded)

    def _predict(self, features: Sequence[Tensor], samples: list[DetDataSample] | None,
                 padded: Sequence[int]) -> list[DetDataSample]:
        prediction = self.head(features)
        batch = len(prediction.mask_logits)
        samples = samples or [DetDataSample(metainfo=dict(ori_shape=tuple(padded), img_shape=tuple(padded)))
                              for _ in range(batch)]
        for index, sample in enumerate(samples):
            result = self.head.predict(prediction, index, padded, sample.img_shape[:2], sample.ori_shape[:2],
                                       self.outputs)
            self.fill(sample, result, self.num_classes)
        return samples

    @staticmethod
    def fill(sample: DetDataSample, result: dict, num_classes: int) -> None:
        """Puts one image's results, as a head's `predict` returns them, into its data sample."""
        if 'panoptic' in result:
            codes = [num_classes]                                   # id 0: no class
            codes += [info['label'] + info['id'] * INSTANCE_OFFSET for info in result['segments_info']]
            codes = torch.tensor(codes, device=result['panoptic'].device)
            sample.pred_panoptic_seg = PixelData(sem_seg=codes[result['panoptic']][None])
            sample.set_metainfo(dict(segments_info=result['segments_info']))
        if 'instances' in result:
            sample.pred_instances = InstanceData(**result['instances'])
        if 'semantic' in result:
            sample.pred_sem_seg = PixelData(sem_seg=result['semantic'][None])
