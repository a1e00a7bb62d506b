"""One wrapper a task: its sample contract, pre- and post-processing."""
from .classification import ImageClassifier, LinearHead
from .depth import DepthEstimator, DepthPreprocessor
from .image_mixing import ClassificationPreprocessor
from .pose import PoseLifter, PosePreprocessor
from .preprocessing import SegmentationPreprocessor
from .segmentation import PanopticSegmentor
from .test_time_augmentation import PanopticTTA

__all__ = ['ClassificationPreprocessor', 'DepthEstimator', 'DepthPreprocessor', 'ImageClassifier', 'LinearHead',
           'PanopticSegmentor', 'PanopticTTA', 'PoseLifter', 'PosePreprocessor', 'SegmentationPreprocessor']
