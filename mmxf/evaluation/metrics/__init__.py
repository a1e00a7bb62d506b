"""Registered metrics, one a file."""
from .instance import InstanceMetric
from .panoptic import PanopticMetric
from .semantic import SemanticMetric

__all__ = ['InstanceMetric', 'PanopticMetric', 'SemanticMetric']
