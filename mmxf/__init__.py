"""mmxf: transformer papers for segmentation, detection, pose, depth and tracking, wired by config files.

Importing mmxf is cheap: neither torch nor any OpenMMLab package is loaded until a config needs it.
"""
from .ops import extension
from .version import __version__

extension.install()  # serves mmcv._ext where mmcv was installed without compiled ops

__all__ = ['__version__']
