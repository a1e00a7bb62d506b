"""One rendered frame with everything that is known about it; all parts stem from the same rays and agree
exactly."""

from dataclasses import dataclass

import numpy as np

from .camera import Camera
from .metainfo import THING_CLASSES, label_of
from .people import COCO_JOINTS, JOINT_DEPTH, stack
from .render import render
from .scene import Scene

HIDDEN, OCCLUDED, VISIBLE = 0, 1, 2  # COCO's visibility flags


@dataclass
class Pose:
    """Joints of one person in COCO's order.

    Args:
        track_id: of the person. joints_3d: (17, 3) world, metres. joints_2d: (17, 2) pixels, NaN behind the
            camera.
        visibility: (17,) int: 0 outside the picture, 1 in it but covered by something or by the body, 2 seen.
    """

    track_id: int
    joints_3d: np.ndarray
    joints_2d: np.ndarray
    visibility: np.ndarray


@dataclass
class Frame:
    """A picture and its ground truth.

    Args:
        image: (H, W, 3) uint8 RGB.
        segments: (H, W) int32 segment ids, see metainfo.segment_id; every pixel has one.
        depth: (H, W) float32 metres: z for perspective, distance for equirectangular cameras; inf in the sky.
        camera: the view. time: seconds.
        segments_info: a dict a visible segment: id, label, isthing, track_id (0 for stuff), bbox [x, y, w,
            h] in pixels, tight around the visible pixels, area in pixels; in the order of the ids.
        poses: every person of the scene, seen or not.
    """

    image: np.ndarray
    segments: np.ndarray
    depth: np.ndarray
    camera: Camera
    time: float
    segments_info: list[dict]
    poses: list[Pose]


def render_frame(
    scene: Scene, time: float = 0.0, camera: Camera | None = None, antialias: bool = True
) -> Frame:
    """Render a scene at a time (seconds) with all annotations; ``camera`` replaces the scene's own view."""
    camera = camera or scene.camera.at(time)
    picture = render(scene, time, camera, antialias)
    poses = [pose_of(person, time, camera, picture.segments, picture.depth) for person in scene.people]
    return Frame(
        picture.image, picture.segments, picture.depth, camera, time, describe(picture.segments), poses
    )


def describe(segments: np.ndarray) -> list[dict]:
    """``segments_info`` of a map of ids (H, W), see Frame."""
    ids, inverse, areas = np.unique(segments, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(segments.shape)
    infos = []
    for k, (segment, area) in enumerate(zip(ids.tolist(), areas.tolist())):
        label = label_of(segment)
        isthing = label < len(THING_CLASSES)
        infos.append(
            dict(
                id=segment,
                label=label,
                isthing=isthing,
                track_id=segment % 1000 if isthing else 0,
                bbox=box_of(inverse == k),
                area=area,
            )
        )
    return infos


def box_of(mask: np.ndarray) -> list[int]:
    """[x, y, width, height] of the smallest box around a mask (H, W) that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)]


def pose_of(person, time: float, camera: Camera, segments: np.ndarray, depth: np.ndarray) -> Pose:
    """Project a person's joints and look up in the maps what covers them."""
    points = stack(person.joints(time))
    spots, away = camera.project(points)
    visibility = np.zeros(len(points), int)
    with np.errstate(invalid='ignore'):
        inside = (spots >= 0).all(1) & (spots < [camera.width, camera.height]).all(1)
    for k in np.flatnonzero(inside):
        column, row = (int(c) for c in spots[k])
        own = segments[row, column] == person.segment
        under = away[k] - depth[row, column]
        near = under <= JOINT_DEPTH[COCO_JOINTS[k]] * person.body.scale * max(person.body.build, 1.0)
        visibility[k] = VISIBLE if own and near else OCCLUDED
    return Pose(person.track_id, points, spots, visibility)
