"""Animations of lifted poses: the 2-D input beside the 3-D skeleton, which turns."""
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from mmxf.structures.skeleton import Skeleton

LEFT, RIGHT, MIDDLE = (230, 97, 60), (52, 120, 220), (90, 90, 100)
_PEOPLE = ((90, 90, 100), (40, 150, 90), (160, 80, 170), (190, 140, 20))


def bone_colors(skeleton: Skeleton, person: int = 0) -> list[tuple[int, int, int]]:
    """RGB of each edge: left and right sides differ, the trunk tells people apart."""
    left, right = set(skeleton.left_joints), set(skeleton.right_joints)
    middle = _PEOPLE[person % len(_PEOPLE)]
    return [LEFT if set(edge) & left and not set(edge) & right else RIGHT if set(edge) & right and not set(edge) & left
            else middle for edge in skeleton.edges]


def pose_frames(points: Sequence[np.ndarray], poses: Sequence[np.ndarray], skeleton: Skeleton, width: int, height: int,
                side: int = 360, turn: float = 120.0, step: int = 1,
                times: Sequence[np.ndarray] | None = None) -> Iterator[np.ndarray]:
    """Pictures (side, 2 side, 3) uint8 RGB, one every `step` frames that show somebody.

    Args:
        points: of each person (T, K, 2) pixels.
        poses: of each person (T, K, 3) metres, camera axes (y down), relative to the root.
        skeleton: joints and bones.
        width, height: of the image that the points belong to.
        side: of each half, pixels.
        turn: degrees that the view turns to each side, and back, over the clip.
        step: every how many frames are drawn.
        times: of each person (T,) frames in which it is seen; None: 0 to T - 1.
    """
    entries = [{int(time): entry for entry, time in enumerate(seen)} for seen in times or [range(len(p)) for p in poses]]
    shown = sorted(set().union(*entries))
    length = len(shown)
    reach = 1.15 * max(float(np.abs(p).max()) for p in poses)
    apart = reach * 1.1
    for frame, time in list(enumerate(shown))[::step]:
        picture = np.full((side, 2 * side, 3), 255, np.uint8)
        scale = side / max(width, height)
        border = (np.array([side, side]) - scale * np.array([width, height])) / 2
        cv2.rectangle(picture, *(tuple(int(v) for v in border + scale * np.array(c)) for c in ((0, 0), (width, height))),
                      (238, 239, 242), -1)
        angle = np.deg2rad(turn) * np.sin(2 * np.pi * frame / max(length, 60))
        shift = apart * (np.arange(len(poses)) - (len(poses) - 1) / 2)
        total = reach + apart * (len(poses) - 1) / 2
        for person, (flat, solid, seen) in enumerate(zip(points, poses, entries)):
            entry = seen.get(time)
            if entry is None:
                continue
            colors = bone_colors(skeleton, person)
            _draw(picture[:, :side], border + scale * flat[entry], None, skeleton, colors)
            x, y, z = solid[entry].T
            turned, depth = np.cos(angle) * x + np.sin(angle) * z, np.cos(angle) * z - np.sin(angle) * x
            place = np.stack([turned + shift[person], y + 0.2 * depth], -1) * (0.5 * side / total) + side / 2
            _draw(picture[:, side:], place, depth, skeleton, colors)
        cv2.line(picture, (side, 0), (side, side), (205, 206, 210), 1)
        cv2.putText(picture, '2-D input', (10, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (110, 112, 120), 1, cv2.LINE_AA)
        cv2.putText(picture, '3-D, turning', (side + 10, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (110, 112, 120), 1, cv2.LINE_AA)
        yield picture


def pose_strip(poses: np.ndarray, skeleton: Skeleton, reach: float, count: int = 3, side: int = 260,
               turn: float = 30.0) -> np.ndarray:
    """Picture (side, count side, 3) uint8 RGB of a few poses of a film, evenly over it.

    Args:
        poses: (T, K, 3) metres, camera axes (y down), relative to the root.
        skeleton: joints and bones.
        reach: metres from the middle of a square to its edge.
        count: squares. side: of each, pixels. turn: degrees by which the poses are turned about the vertical.
    """
    strip = np.full((side, count * side, 3), 255, np.uint8)
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    for square, frame in enumerate(np.linspace(0, len(poses) - 1, count + 2)[1:-1].round().astype(int)):
        x, y, z = poses[frame].T
        depth = cos * z - sin * x
        place = np.stack([cos * x + sin * z, y + 0.2 * depth], -1) * (0.5 * side / reach) + side / 2
        _draw(strip[:, square * side:(square + 1) * side], place, depth, skeleton, bone_colors(skeleton))
    return strip


def _draw(canvas: np.ndarray, places: np.ndarray, depth, skeleton: Skeleton, colors) -> None:
    """Bones and joints, the far ones first."""
    order = range(len(skeleton.edges)) if depth is None else np.argsort(
        [-(depth[a] + depth[b]) for a, b in skeleton.edges])
    spots = [tuple(int(v) for v in np.clip(place, -9999, 9999)) for place in places]
    whole = np.ascontiguousarray(canvas)
    for index in order:
        a, b = skeleton.edges[index]
        cv2.line(whole, spots[a], spots[b], colors[index], 3, cv2.LINE_AA)
    for spot in spots:
        cv2.circle(whole, spot, 3, (40, 42, 48), -1, cv2.LINE_AA)
    canvas[:] = whole


def write_animation(path, frames: Iterator[np.ndarray], fps: float) -> int:
    """Writes pictures as a .gif or .mp4; returns their number.

    Raises:
        OSError: where OpenCV has no encoder.
        ValueError: for another ending, or no frames.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == '.gif':
        from PIL import Image

        pictures = [Image.fromarray(frame).quantize(64, dither=Image.Dither.NONE) for frame in frames]
        if not pictures:
            raise ValueError(f'no frames for {path}')
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=max(20, round(1000 / fps)), loop=0)
        return len(pictures)
    if path.suffix.lower() != '.mp4':
        raise ValueError(f'{path}: animations are .gif or .mp4')
    writer, count = None, 0
    for frame in frames:
        if writer is None:
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), fps, (frame.shape[1], frame.shape[0]))
            if not writer.isOpened():
                raise OSError(f'OpenCV cannot write {path}: this build has no mp4 encoder')
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
        count += 1
    if writer is None:
        raise ValueError(f'no frames for {path}')
    writer.release()
    return count
