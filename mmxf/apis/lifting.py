"""2-D joints of files through a lifting model.

sequence = read_keypoints('keypoints.npz', model.skeleton.joints)
poses = lift(model, sequence)                    # of each person (T, K, 3), metres, relative to the root
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmxf.config import UserError


@dataclass
class KeypointSequence:
    """2-D joints of one or several people.

    Args:
        people: of each person (T, K, 2) pixels.
        width, height: of the image, pixels.
        fps: frames a second.
        path: the file, for messages.
    """

    people: list[np.ndarray]
    width: int
    height: int
    fps: float
    path: Path


def read_keypoints(path, joints: Sequence[str], size: tuple[int, int] | None = None) -> KeypointSequence:
    """Joints of a file, in the order of the model's.

    Args:
        path: a .npz with ``keypoints`` (T, K, 2) or (people, T, K, 2), more than two channels are cut off, perhaps ``width``,
            ``height``, ``fps``; or a .json in COCO's style: a list of annotations, or a dict with ``images`` and
            ``annotations``, each with ``image_id``, ``keypoints`` of x, y, visibility, and ``track_id`` where an image has
            several people.
        joints: names of the model's joints; COCO's 17 are turned into Human3.6M's where the model has those.
        size: (width, height) of the image, where the file does not tell.

    Raises:
        UserError: naming the file and what was expected.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f'{path} does not exist; give a .npz or a COCO-style .json of 2-D joints')
    people, found, fps, coco = _read_json(path) if path.suffix.lower() == '.json' else _read_npz(path)
    size = size or found
    if size is None:
        raise UserError(f'{path} does not say how large the image is, which the model needs to know where the camera looks: '
                        'add width and height to the file, or give --image-size WIDTH HEIGHT')
    for number, points in enumerate(people):
        people[number] = _checked(points, path, number, joints, coco)
    return KeypointSequence(people, int(size[0]), int(size[1]), fps, path)


def _checked(points: np.ndarray, path: Path, number: int, joints: Sequence[str], coco: bool) -> np.ndarray:
    who = f'{path}, person {number}'
    if points.ndim != 3 or points.shape[-1] < 2:
        raise UserError(f'{who}: keypoints are {points.shape}, expected (frames, {len(joints)}, 2)')
    points = points[..., :2].astype(np.float64)
    if coco and points.shape[1] == 17 and 'pelvis' in joints and len(joints) == 17:
        points = coco_to_h36m(points)
    if points.shape[1] != len(joints):
        raise UserError(f'{who}: {points.shape[1]} joints, but the model lifts {len(joints)}: {", ".join(joints)}')
    if len(points) < 2:
        raise UserError(f'{who}: one frame only; the model reads motion and needs a sequence of at least two frames')
    bad = ~np.isfinite(points).all(-1)
    if bad.any():
        frame, joint = np.argwhere(bad)[0]
        raise UserError(f'{who}: {int(bad.sum())} joints are NaN, infinite or not annotated, the first in frame {frame}, '
                        f'{joints[joint]}; fill them in, for example from the frames around')
    return points


def _read_npz(path: Path):
    from mmxf.datasets.safe_npz import NpzError, read_npz

    try:
        content = read_npz(path)
    except NpzError as error:
        raise UserError(str(error)) from None
    if not isinstance(content.get('keypoints'), np.ndarray):
        raise UserError(f'{path} holds {", ".join(content) or "nothing"}; expected keypoints, (frames, joints, 2) or '
                        '(people, frames, joints, 2) pixels')
    points = content['keypoints']
    size = (int(content['width']), int(content['height'])) if 'width' in content and 'height' in content else None
    coco = str(content.get('skeleton', '')) == 'coco'
    return list(points) if points.ndim == 4 else [points], size, float(content.get('fps', 25)), coco


def _read_json(path: Path):
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f'{path} is no valid JSON ({error})') from None
    annotations = content.get('annotations') if isinstance(content, dict) else content
    if not isinstance(annotations, list) or not annotations or not all(
            isinstance(a, dict) and isinstance(a.get('keypoints'), list) and 'image_id' in a for a in annotations):
        raise UserError(f'{path}: expected a list of annotations, or a dict with annotations, each with image_id and keypoints')
    images = content.get('images', []) if isinstance(content, dict) else []
    size = (images[0]['width'], images[0]['height']) if images and {'width', 'height'} <= set(images[0]) else None
    tracks: dict = {}
    for annotation in annotations:
        values = annotation['keypoints']
        if len(values) % 3:
            raise UserError(f'{path}: image {annotation["image_id"]!r} has {len(values)} numbers of keypoints, expected x, y and '
                            'visibility of each joint')
        frames = tracks.setdefault(annotation.get('track_id', 0), {})
        if annotation['image_id'] in frames:
            raise UserError(f'{path}: image {annotation["image_id"]!r} has several people without track_id of their own: give '
                            'every annotation a track_id')
        points = np.array([np.nan if v is None else v for v in values], float).reshape(-1, 3)
        points[(points == 0).all(-1)] = np.nan          # COCO's way to say that a joint is not annotated
        frames[annotation['image_id']] = points[:, :2]
    order = [sorted(frames, key=lambda i: (isinstance(i, str), i)) for _, frames in sorted(tracks.items(), key=str)]
    people = []
    for names, (track, frames) in zip(order, sorted(tracks.items(), key=str)):
        counts = {len(frames[name]) for name in names}
        if len(counts) > 1:
            raise UserError(f'{path}: person {track} has {sorted(counts)} joints in different images')
        people.append(np.stack([frames[name] for name in names]))
    fps = float(content.get('fps', 25)) if isinstance(content, dict) else 25.0
    return people, size, fps, True


def coco_to_h36m(points: np.ndarray) -> np.ndarray:
    """COCO's joints (..., 17, D) to Human3.6M's 17: those that COCO lacks are put between their neighbours, which is
    approximate."""
    left, right = points[..., 11, :], points[..., 12, :]
    pelvis, thorax = (left + right) / 2, (points[..., 5, :] + points[..., 6, :]) / 2
    ears = (points[..., 3, :] + points[..., 4, :]) / 2
    neck = (thorax + points[..., 0, :]) / 2
    out = [pelvis, *(points[..., i, :] for i in (12, 14, 16, 11, 13, 15)), (pelvis + thorax) / 2, thorax, neck,
           ears + 0.6 * (ears - neck), *(points[..., i, :] for i in (5, 7, 9, 6, 8, 10))]
    return np.stack(out, -2)


def lift(model, sequence: KeypointSequence) -> list[np.ndarray]:
    """Of each person (T, K, 3): metres in the camera's axes (x right, y down, z forward), relative to the root."""
    import torch

    from mmxf.structures.cameras import normalise_screen

    inputs = [torch.from_numpy(normalise_screen(points, sequence.width, sequence.height).astype(np.float32))
              for points in sequence.people]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            samples = model.test_step(dict(inputs=inputs, data_samples=None))
    finally:
        model.train(was_training)
    return [sample.pred_keypoints_3d.cpu().numpy() for sample in samples]
