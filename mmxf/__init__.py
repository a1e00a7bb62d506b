"""mmxf: transformer papers for segmentation, detection, pose, depth and tracking as registered, config-wired parts.

Importing mmxf is cheap: neither torch nor any OpenMMLab package is loaded until a config needs it.
"""
from .version import __version__

__all__ = ['__version__']
