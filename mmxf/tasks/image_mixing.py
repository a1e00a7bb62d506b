"""Batches for classifiers: normalising, mixup (arXiv:1710.09412), CutMix (arXiv:1905.04899), random erasing (arXiv:1708.04896).

Mixing and erasing happen on the whole batch, where it is fast; random numbers are torch's.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mmxf.registry import MODELS


@MODELS.register_module()
class ClassificationPreprocessor(BaseDataPreprocessor):
    """Stacks and normalises images of one size; in training mixes each with another of its batch and erases rectangles.

    Args:
        mean, std: per channel, in the order after `bgr_to_rgb`, on the 0-255 scale.
        bgr_to_rgb: whether images come as BGR.
        num_classes: needed for soft targets, which a training batch gets with any of the following.
        mixup: both images' weights are drawn from Beta(mixup, mixup); 0 turns it off.
        cutmix: the same for a rectangle of the other image; 0 turns it off.
        switch: share of batches that get CutMix where both are on.
        smoothing: what labels give away to all classes alike.
        erasing: probability that a rectangle of an image (2% to 33% of its area) becomes noise.
        non_blocking: whether copies to the device may overlap with computation.

    Raises:
        ValueError: for soft targets without `num_classes`.
    """

    def __init__(self, mean: Sequence[float] = (123.675, 116.28, 103.53), std: Sequence[float] = (58.395, 57.12, 57.375), *,
                 bgr_to_rgb: bool = True, num_classes: int | None = None, mixup: float = 0.0, cutmix: float = 0.0,
                 switch: float = 0.5, smoothing: float = 0.0, erasing: float = 0.0, non_blocking: bool = False) -> None:
        super().__init__(non_blocking)
        if (mixup or cutmix or smoothing) and not num_classes:
            raise ValueError("soft targets need the number of classes: num_classes='${num_classes}'")
        self.bgr_to_rgb, self.num_classes = bgr_to_rgb, num_classes
        self.mixup, self.cutmix, self.switch, self.smoothing, self.erasing = mixup, cutmix, switch, smoothing, erasing
        self.register_buffer('mean', torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """dict(inputs: list of (3, H, W) uint8 or (B, 3, H, W), data_samples) to dict(inputs (B, 3, H, W) float32, data_samples,
        and in training targets: (B, K) probabilities).

        Raises:
            ValueError: when the images have several sizes.
        """
        data = self.cast_data(data)
        images, samples = data['inputs'], data.get('data_samples')
        if not isinstance(images, Tensor):
            sizes = {tuple(image.shape) for image in images}
            if len(sizes) > 1:
                raise ValueError(f'images of one batch have different sizes, {sorted(sizes)}: let the pipeline resize and crop '
                                 'them to image_size')
            images = torch.stack(list(images))
        images = images.flip(1) if self.bgr_to_rgb else images
        images = (images.float() - self.mean) / self.std
        data = dict(inputs=images, data_samples=samples)
        if training and self.num_classes and samples:
            targets = smooth_labels(torch.stack([sample.gt_label for sample in samples]).to(images.device), self.num_classes,
                                    self.smoothing)
            data['inputs'], data['targets'] = self._mix(images, targets)
        if training and self.erasing:
            erase(data['inputs'], self.erasing)
        return data

    def _mix(self, images: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        use_cutmix = self.cutmix and (not self.mixup or torch.rand(()) < self.switch)
        strength = self.cutmix if use_cutmix else self.mixup
        if not strength:
            return images, targets
        share = float(torch.distributions.Beta(strength, strength).sample())
        others = images.flip(0)                            # the official code's partner: the batch backwards
        if use_cutmix:
            images, share = cutmix(images, others, share)
        else:
            images = torch.lerp(others, images, share)
        return images, torch.lerp(targets.flip(0), targets, share)


def smooth_labels(labels: Tensor, num_classes: int, smoothing: float = 0.0) -> Tensor:
    """(B,) classes to (B, K) probabilities: 1 - smoothing on the class, smoothing / K on all."""
    return F.one_hot(labels, num_classes).float() * (1 - smoothing) + smoothing / num_classes


def cutmix(images: Tensor, others: Tensor, share: float) -> tuple[Tensor, float]:
    """A rectangle of 1 - share of the area is taken from `others`, its centre anywhere; returns the share that is left."""
    height, width = images.shape[-2:]
    side = (1 - share) ** 0.5
    cut_h, cut_w = int(height * side), int(width * side)
    y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
    top, bottom = max(y - cut_h // 2, 0), min(y + cut_h // 2, height)
    left, right = max(x - cut_w // 2, 0), min(x + cut_w // 2, width)
    images = images.clone()
    images[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return images, 1 - (bottom - top) * (right - left) / (height * width)


def erase(images: Tensor, probability: float, area: tuple[float, float] = (0.02, 1 / 3), aspect: float = 0.3) -> None:
    """Puts normal noise into a rectangle of each image, with that probability, in place.

    Args:
        images: (B, C, H, W), normalised. area: bounds of the rectangle's share. aspect: smallest ratio of its sides.
    """
    count, channels, height, width = images.shape
    limit = torch.log(torch.tensor(1 / aspect))
    for i in torch.nonzero(torch.rand(count) < probability).flatten().tolist():
        for _ in range(10):
            size = float(torch.empty(()).uniform_(*area)) * height * width
            ratio = float(torch.exp(torch.empty(()).uniform_(-1, 1) * limit))
            h, w = round((size * ratio) ** 0.5), round((size / ratio) ** 0.5)
            if 0 < h < height and 0 < w < width:
                top, left = int(torch.randint(height - h + 1, ())), int(torch.randint(width - w + 1, ()))
                images[i, :, top:top + h, left:left + w] = torch.randn(channels, h, w).to(images)
                break
