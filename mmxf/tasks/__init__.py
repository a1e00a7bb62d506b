"""One wrapper a task: its sample contract, pre- and post-processing."""
from .preprocessing import SegmentationPreprocessor
from .segmentation import PanopticSegmentor
from .test_time_augmentation import PanopticTTA

__all__ = ['PanopticSegmentor', 'PanopticTTA', 'SegmentationPreprocessor']
