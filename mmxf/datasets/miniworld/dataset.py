"""MiniWorld's panoptic data as a registered data set."""

from mmxf.datasets.panoptic import PanopticDataset
from mmxf.registry import DATASETS

from .metainfo import METAINFO as MINIWORLD_METAINFO


@DATASETS.register_module()
class MiniWorldPanoptic(PanopticDataset):
    """The panoptic files that ``tools/make_miniworld.py`` writes; arguments as PanopticDataset."""

    METAINFO = MINIWORLD_METAINFO
    PREPARE = 'mmxf make-miniworld --root {root}'
