"""Datasets that read official trees, their transforms, and the built-in MiniWorld."""

from . import transforms
from .miniworld.dataset import MiniWorldPanoptic
from .panoptic import ADE20KPanoptic, CityscapesPanoptic, CocoPanoptic, PanopticDataset
from .panoptic_classes import read_metainfo

__all__ = [
    'ADE20KPanoptic',
    'CityscapesPanoptic',
    'CocoPanoptic',
    'MiniWorldPanoptic',
    'PanopticDataset',
    'read_metainfo',
    'transforms',
]
