"""Dense depth of single images, perspective or panoramas: one wrapper around a network that gives depth maps.

Sample contract. Inputs are (3, H, W) uint8, BGR as read. A data sample is mmengine's BaseDataElement; in training it holds
`gt_depth`, PixelData of (1, H, W) float32: along the optical axis for perspective images, along the ray for panoramas (fisheye
images come both ways: the metadata `along_ray` says it), metres, 0 where nothing is known. Results are `pred_depth` of the same
kind, at the size of `gt_depth` where there is one and of the network's input otherwise.

A network takes (B, 3, H, W) and gives (B, 1, H, W) metres, or a list of them from one refinement to the next, the last is the
result.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.structures import BaseDataElement, PixelData
from torch import Tensor

from mmxf.evaluation.depth_errors import row_weights
from mmxf.registry import MODELS


@MODELS.register_module()
class DepthPreprocessor(BaseDataPreprocessor):
    """Stacks images to (B, 3, H, W) float32 and normalises them.

    Args:
        mean, std: per channel, in the order after `bgr_to_rgb`, on the 0-255 scale.
        bgr_to_rgb: whether channels are swapped.
        non_blocking: whether copies to the device may overlap with computation.
    """

    def __init__(self, mean: Sequence[float] = (0., 0., 0.), std: Sequence[float] = (255., 255., 255.), *,
                 bgr_to_rgb: bool = False, non_blocking: bool = False) -> None:
        super().__init__(non_blocking)
        self.bgr_to_rgb = bgr_to_rgb
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """dict(inputs: list of (3, H, W) or (B, 3, H, W), data_samples) to the same with inputs (B, 3, H, W) float32.

        Raises:
            ValueError: for images of several sizes, naming two of them.
        """
        data = self.cast_data(data)
        images, samples = list(data['inputs']), data.get('data_samples')
        for number, image in enumerate(images):
            if image.shape != images[0].shape:
                names = [samples[i].metainfo.get('img_path') if samples else f'number {i}' for i in (0, number)]
                raise ValueError(f'images of a batch must have one size: {names[0]} is {tuple(images[0].shape[1:])}, {names[1]} '
                                 f'{tuple(image.shape[1:])}; let the pipeline resize them, or take batches of 1')
        inputs = torch.stack(images).float()
        inputs = (inputs.flip(1) if self.bgr_to_rgb else inputs).sub_(self.mean).div_(self.std)
        return dict(inputs=inputs, data_samples=samples)


@MODELS.register_module()
class DepthEstimator(BaseModel):
    """A depth network as a model of mmengine.

    Args:
        backbone: config of the network.
        losses: configs of losses by name (`BerHuLoss`, `SiLogLoss`, `MaskedL1Loss`); their sum, averaged over the network's
            refinements, is what training lowers.
        spherical: losses weigh a panorama's pixels by their solid angle.
        data_preprocessor: config.
        init_cfg: mmengine's.
    """

    def __init__(self, backbone: dict, losses: dict[str, dict], *, spherical: bool = False,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='DepthPreprocessor')), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.losses = torch.nn.ModuleDict({name: MODELS.build(loss) for name, loss in losses.items()})
        self.spherical = spherical

    def forward(self, inputs: Tensor, data_samples: list[BaseDataElement] | None = None, mode: str = 'tensor'):
        """Depth of images.

        Args:
            inputs: (B, 3, H, W).
            data_samples: with `gt_depth` for 'loss'; for 'predict' they are filled.
            mode: 'tensor' for (B, 1, H, W), 'loss' for a dict of losses, 'predict' for data samples.

        Raises:
            ValueError: for an unknown mode, or targets of another size than the images.
        """
        outputs = self.backbone(inputs)
        outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        if mode == 'tensor':
            return outputs[-1]
        if mode == 'loss':
            return self._loss(outputs, data_samples)
        if mode == 'predict':
            return self._predict(outputs[-1], data_samples or [BaseDataElement() for _ in inputs])
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")

    def _loss(self, outputs: list[Tensor], samples: list[BaseDataElement]) -> dict[str, Tensor]:
        target = torch.stack([sample.gt_depth.data for sample in samples])                        # (B, 1, H, W)
        if target.shape != outputs[-1].shape:
            raise ValueError(f'the network gives depth of {tuple(outputs[-1].shape[2:])}, the targets are '
                             f'{tuple(target.shape[2:])}; let the pipeline resize both')
        weight = None
        if self.spherical:
            weight = torch.from_numpy(row_weights(*target.shape[2:])).to(target)
        found = {}
        for name, loss in self.losses.items():
            terms = [loss(output, target, target > 0, weight) for output in outputs]
            found[f'loss_{name}'] = sum(terms) / len(terms)
        return found

    def _predict(self, depth: Tensor, samples: list[BaseDataElement]) -> list[BaseDataElement]:
        for one, sample in zip(depth.float(), samples):
            if 'gt_depth' in sample and sample.gt_depth.data.shape != one.shape:
                one = F.interpolate(one[None], size=sample.gt_depth.data.shape[1:], mode='bilinear')[0]
            sample.pred_depth = PixelData(data=one)
        return samples
