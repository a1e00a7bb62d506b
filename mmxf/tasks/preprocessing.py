"""From packed samples to a normalised, padded batch."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmxf.registry import MODELS


@MODELS.register_module()
class SegmentationPreprocessor(BaseDataPreprocessor):
    """Normalises images, zeroes pixels that padding made, and pads right and bottom with zeros.

    Zeros are put in after normalisation: padding is the mean colour, for the network and at every stage alike.

    Args:
        mean, std: per channel, in the order after `bgr_to_rgb`, on the 0-255 scale.
        bgr_to_rgb: whether images come as BGR.
        pad_to: (H, W) to which every batch is padded; None pads to the largest image of the batch.
        non_blocking: whether copies to the device may overlap with computation.
    """

    def __init__(self, mean: Sequence[float] = (127.5, 127.5, 127.5), std: Sequence[float] = (127.5, 127.5, 127.5), *,
                 bgr_to_rgb: bool = True, pad_to: Sequence[int] | None = None, non_blocking: bool = False) -> None:
        super().__init__(non_blocking)
        self.bgr_to_rgb = bgr_to_rgb
        self.pad_to = None if pad_to is None else tuple(pad_to)
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """dict(inputs: list of (3, H, W) uint8 or one (B, 3, H, W), data_samples: list or None) to the same with inputs
        (B, 3, H', W') float32; each sample learns its `batch_input_shape`.

        Raises:
            ValueError: when an image is larger than `pad_to`.
        """
        data = self.cast_data(data)
        samples = data.get('data_samples')
        images = [self._normalise(image, samples[i] if samples else None) for i, image in enumerate(data['inputs'])]
        height, width = self.pad_to or (max(i.shape[1] for i in images), max(i.shape[2] for i in images))
        for i, image in enumerate(images):
            if image.shape[1] > height or image.shape[2] > width:
                name = samples[i].metainfo.get('img_path', f'number {i}') if samples else f'number {i}'
                raise ValueError(f'image {name} is {tuple(image.shape[1:])} after the pipeline, larger than pad_to='
                                 f'{(height, width)}: let the pipeline resize or crop to image_size')
        inputs = torch.stack([F.pad(i, (0, width - i.shape[2], 0, height - i.shape[1])) for i in images])
        for sample in samples or []:
            sample.set_metainfo(dict(batch_input_shape=(height, width)))
        return dict(inputs=inputs, data_samples=samples)

    def _normalise(self, image: Tensor, sample) -> Tensor:
        if self.bgr_to_rgb:
            image = image.flip(0)
        image = (image.float() - self.mean) / self.std
        real = getattr(sample, 'real_pixel_mask', None)
        return image if real is None else image * real.data
