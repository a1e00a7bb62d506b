"""Made-up images with depth, to measure a depth model without data."""

from __future__ import annotations

import numpy as np


def is_depth_model(model) -> bool:
    """Whether a model gives dense depth."""
    from mmxf.tasks import DepthEstimator

    return isinstance(model, DepthEstimator)


def synthetic_depth_batch(model, shape: tuple[int, int], batch: int = 1, training: bool = False, seed: int = 0) -> dict:
    """Blocks of colours with smooth depth that have passed the model's data preprocessor.

    Args:
        model: a `DepthEstimator`.
        shape: (H, W).
        batch: images.
        training: whether the samples hold true depth.
        seed: of what is made up.

    Returns:
        dict(inputs (B, 3, H, W), data_samples).
    """
    import torch
    from mmengine.structures import BaseDataElement, PixelData

    rng = np.random.default_rng(seed)
    height, width = shape
    inputs, samples = [], []
    for number in range(batch):
        image = rng.integers(0, 256, (3, -(-height // 8), -(-width // 8)), dtype=np.uint8)
        inputs.append(torch.from_numpy(image.repeat(8, 1).repeat(8, 2)[:, :height, :width].copy()))
        sample = BaseDataElement(metainfo=dict(img_id=number, img_path=f'synthetic_{number}.png', img_shape=shape))
        if training:
            x, y = np.meshgrid(np.linspace(0, 2 * np.pi, width), np.linspace(0, np.pi, height))
            depth = (3 + np.sin(x + rng.uniform(0, 6)) + np.cos(2 * y)).astype(np.float32)
            sample.gt_depth = PixelData(data=torch.from_numpy(depth)[None])
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), training)
