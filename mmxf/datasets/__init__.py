"""Datasets that read official trees, their transforms, and the built-in MiniWorld."""

from . import transforms
from .depth import KITTIDepth, Matterport3D, MiniWorldDepth, NYUv2Depth, Panorama360D, Stanford2D3D
from .human36m import CocoLifting, Human36mLifting
from .humaneva import HumanEvaLifting
from .image_folder import ImageFolder, ObjectCrops
from .miniworld.dataset import MiniWorldPanoptic
from .mpi_inf_3dhp import MpiInf3dhpLifting
from .panoptic import ADE20KPanoptic, CityscapesPanoptic, CocoPanoptic, PanopticDataset
from .panoptic_classes import read_metainfo

__all__ = [
    'ADE20KPanoptic',
    'CityscapesPanoptic',
    'CocoLifting',
    'CocoPanoptic',
    'Human36mLifting',
    'HumanEvaLifting',
    'ImageFolder',
    'KITTIDepth',
    'Matterport3D',
    'MiniWorldDepth',
    'NYUv2Depth',
    'Panorama360D',
    'Stanford2D3D',
    'MiniWorldPanoptic',
    'MpiInf3dhpLifting',
    'ObjectCrops',
    'PanopticDataset',
    'read_metainfo',
    'transforms',
]
