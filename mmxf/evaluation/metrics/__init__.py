"""Registered metrics, one a file."""
from .instance import InstanceMetric
from .panoptic import PanopticMetric
from .pose_lifting import PoseLiftingMetric
from .semantic import SemanticMetric

__all__ = ['InstanceMetric', 'PanopticMetric', 'PoseLiftingMetric', 'SemanticMetric']
