"""Registered metrics, one a file."""
from .classification import ClassificationMetric
from .confusion import DetectionConfusion, SemanticConfusion
from .depth import DepthMetric
from .instance import InstanceMetric
from .panoptic import PanopticMetric
from .pose_lifting import PoseLiftingMetric
from .semantic import SemanticMetric

__all__ = ['ClassificationMetric', 'DepthMetric', 'DetectionConfusion', 'InstanceMetric', 'PanopticMetric',
           'PoseLiftingMetric', 'SemanticConfusion', 'SemanticMetric']
