"""Pictures of results: panoptic overlays, sheets of image, ground truth and prediction, loss and metric
curves.

All images here are (H, W, 3) uint8 in RGB, as mmengine's visualisers have them.
"""

from .curves import plot_curves, read_scalars
from .files import panoptic_from_png, read_rgb, write_image
from .panoptic import draw_panoptic, split_panoptic
from .samples import sample_panoptic
from .sheet import panoptic_sheet, side_by_side

__all__ = [
    'draw_panoptic',
    'panoptic_from_png',
    'panoptic_sheet',
    'plot_curves',
    'read_rgb',
    'read_scalars',
    'sample_panoptic',
    'side_by_side',
    'split_panoptic',
    'write_image',
]
