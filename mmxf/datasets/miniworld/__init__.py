"""MiniWorld: a small deterministic 3-D world, rendered by a ray-caster in numpy.

    scene = make_scene(seed=0, width=640, height=480)     # camera='equirectangular', moving=True, ...
    frame = render_frame(scene, time=0.0)                 # image, segments, boxes, depth, joints, track ids

``tools/make_miniworld.py`` writes data sets in the official COCO formats from it.
"""

from .annotations import Frame, Pose, render_frame
from .camera import Camera
from .metainfo import METAINFO
from .scene import Scene, make_scene

__all__ = ['Camera', 'Frame', 'METAINFO', 'Pose', 'Scene', 'make_scene', 'render_frame']
