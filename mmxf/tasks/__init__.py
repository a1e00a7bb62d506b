"""One wrapper a task: its sample contract, pre- and post-processing."""
from .preprocessing import SegmentationPreprocessor
from .segmentation import PanopticSegmentor

__all__ = ['PanopticSegmentor', 'SegmentationPreprocessor']
