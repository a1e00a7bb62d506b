"""Registered metrics, one a file."""
from .classification import ClassificationMetric
from .instance import InstanceMetric
from .panoptic import PanopticMetric
from .pose_lifting import PoseLiftingMetric
from .semantic import SemanticMetric

__all__ = ['ClassificationMetric', 'InstanceMetric', 'PanopticMetric', 'PoseLiftingMetric', 'SemanticMetric']
