"""Transforms of samples. mmcv's own (LoadImageFromFile, RandomFlip, ...) are used by name beside them.

All randomness comes from numpy's global state, so a sample is reproduced by seeding that before it is loaded.
"""

import mmcv.transforms  # noqa: F401  registers mmcv's transforms

from .classification import CropToBox, PackClassificationInputs, RandomResizedCrop
from .color import SSDColorJitter
from .copy_paste import PanopticCopyPaste
from .depth import FlipWithDepth, LimitDepth, LoadDepth, PackDepthInputs, ResizeDepth, RollPanorama
from .geometry import LargeScaleJitter, PadToSize, ResizeToFit
from .panoptic import LoadPanopticSegments, PackPanopticInputs
from .pose import JitterKeypoints, MirrorPose, PackPoseInputs
from .rand_augment import RandAugment
from .reduced_image import LoadReducedImage
from .semantic import SegmentsToClasses

__all__ = [
    'CropToBox',
    'FlipWithDepth',
    'JitterKeypoints',
    'LargeScaleJitter',
    'LimitDepth',
    'LoadDepth',
    'LoadPanopticSegments',
    'LoadReducedImage',
    'MirrorPose',
    'PackClassificationInputs',
    'PackDepthInputs',
    'PackPanopticInputs',
    'PackPoseInputs',
    'PadToSize',
    'PanopticCopyPaste',
    'RandAugment',
    'RandomResizedCrop',
    'ResizeDepth',
    'ResizeToFit',
    'RollPanorama',
    'SSDColorJitter',
    'SegmentsToClasses',
]
