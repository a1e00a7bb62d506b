"""Made-up windows of poses, to measure a lifting model without data."""

from __future__ import annotations

import numpy as np


def synthetic_pose_batch(model, batch: int = 1, training: bool = False, seed: int = 0) -> dict:
    """Windows of smoothly moving joints that have passed the model's data preprocessor.

    Args:
        model: a `PoseLifter`; its skeleton and length of window count.
        batch: windows.
        training: whether the samples hold true 3-D poses.
        seed: of the made-up motion.

    Returns:
        dict(inputs (B, F, K, 2), data_samples).
    """
    import torch
    from mmengine.structures import BaseDataElement

    from mmxf.structures.cameras import project

    rng = np.random.default_rng(seed)
    frames, joints = model.num_frames, len(model.skeleton)
    intrinsics = np.float32([2.3, 2.3, 0, 0, 0, 0, 0, 0, 0])
    inputs, samples = [], []
    for _ in range(batch):
        phase, place = rng.uniform(0, 2 * np.pi, (joints, 3)), rng.uniform(-0.6, 0.6, (joints, 3))
        poses = (place + 0.1 * np.sin(phase + np.arange(frames)[:, None, None] / 12)).astype(np.float32)
        root = np.float32([0, 0, 4.5])
        sample = BaseDataElement(metainfo=dict(intrinsics=intrinsics))
        if training:
            sample.gt_keypoints_3d = torch.from_numpy(poses - poses[:, :1])
        inputs.append(torch.from_numpy(project(poses + root, intrinsics)))
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), training)
