"""From windows or videos of poses to samples of the lifting task."""
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import BaseDataElement

from mmxf.registry import TRANSFORMS
from mmxf.structures.skeleton import mirror

# What travels with a sample for messages, drawing and reprojection.
META_KEYS = ('subject', 'action', 'camera', 'width', 'height', 'intrinsics', 'start', 'mirrored')


@TRANSFORMS.register_module()
class MirrorPose(BaseTransform):
    """Mirrors 2-D and 3-D poses left to right where the data set asks for it (its ``mirror=True``), or at random.

    Args:
        prob: of mirroring a sample for which the data set did not decide.
    """

    def __init__(self, prob: float = 0.0) -> None:
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Changes ``keypoints_2d``, ``keypoints_3d`` and ``root``."""
        if results.get('mirrored') or (self.prob > 0 and np.random.rand() < self.prob):
            results['mirrored'] = True
            for key in ('keypoints_2d', 'keypoints_3d'):
                if results.get(key) is not None:
                    results[key] = mirror(results[key], results['mirror_order'])
            if results.get('root') is not None:
                results['root'] = results['root'] * np.array([-1, 1, 1], results['root'].dtype)
            if results.get('intrinsics') is not None:    # the centre and the horizontal part of the tangential distortion
                results['intrinsics'] = results['intrinsics'] * np.where(np.isin(np.arange(9), (2, 7)), -1, 1).astype('float32')
        return results


@TRANSFORMS.register_module()
class JitterKeypoints(BaseTransform):
    """Adds noise to the 2-D keypoints, as a detector would.

    Args:
        std: of the normal noise, in normalised image coordinates (1 is half of the image's width).
    """

    def __init__(self, std: float) -> None:
        self.std = std

    def transform(self, results: dict) -> dict:
        """Changes ``keypoints_2d``."""
        points = results['keypoints_2d']
        results['keypoints_2d'] = points + np.random.normal(0, self.std, points.shape).astype(points.dtype)
        return results


@TRANSFORMS.register_module()
class PackPoseInputs(BaseTransform):
    """Packs a window or video: ``inputs`` (T, K, 2) float32, and a data sample with what is known of it."""

    def transform(self, results: dict) -> dict:
        """dict(inputs, data_samples)."""
        sample = BaseDataElement(metainfo={key: results[key] for key in (*META_KEYS, 'sample_idx') if key in results})
        for key, name in (('keypoints_3d', 'gt_keypoints_3d'), ('root', 'gt_root'), ('valid', 'gt_valid')):
            if results.get(key) is not None:
                setattr(sample, name, torch.from_numpy(np.ascontiguousarray(results[key])))
        return dict(inputs=torch.from_numpy(np.ascontiguousarray(results['keypoints_2d'], np.float32)), data_samples=sample)
