"""2-D joints of files through a lifting model.

sequence = read_keypoints('keypoints.npz', model.skeleton.joints)
poses = lift(model, sequence)                    # of each person (T, K, 3), metres, relative to the root
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
        frames: of each person (T,) numbers of the frames, rising; where one is left out the person was not seen. By default
            0 to T - 1.
    """

    people: list[np.ndarray]
    width: int
    height: int
    fps: float
    path: Path
    frames: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frames = self.frames or [np.arange(len(points)) for points in self.people]

    def stretches(self) -> list[tuple[int, slice]]:
        """Person, and which of its entries follow one another without a gap; in order."""
        return [(person, part) for person, frames in enumerate(self.frames) for part in _stretches(frames)]


def _stretches(frames: np.ndarray) -> list[slice]:
    """Entries between gaps."""
    edges = [0, *(np.flatnonzero(np.diff(frames) > 1) + 1).tolist(), len(frames)]
    return [slice(*pair) for pair in zip(edges, edges[1:])]


def read_keypoints(path, joints: Sequence[str], size: tuple[int, int] | None = None) -> KeypointSequence:
    """Joints of a file, in the order of the model's.

    Args:
        path: a .npz with ``keypoints`` (T, K, 2) or (people, T, K, 2), more than two channels are cut off, perhaps ``width``,
            ``height``, ``fps``; or a .json in COCO's style: a list of annotations, or a dict with ``images`` and
            ``annotations``, each with ``image_id``, ``keypoints`` of x, y, visibility, and ``track_id`` where an image has
            several people. Which frame an image is says its ``frame_id``, else the last number in its id ('7.jpg' is followed
            by '8.jpg', or 0 by 10 where all are multiples of 10).
        joints: names of the model's joints; COCO's 17 are turned into Human3.6M's where the model has those.
        size: (width, height) of the image, where the file does not tell.

    Raises:
        UserError: naming the file and what was expected.

    Warns:
        UserWarning: where a person is missing in frames between others, naming the person, the track and the gaps.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f'{path} does not exist; give a .npz or a COCO-style .json of 2-D joints')
    people, frames, found, fps, coco = _read_json(path) if path.suffix.lower() == '.json' else _read_npz(path)
    size = size or found
    if size is None:
        raise UserError(f'{path} does not say how large the image is, which the model needs to know where the camera looks: '
                        'add width and height to the file, or give --image-size WIDTH HEIGHT')
    for number, points in enumerate(people):
        people[number] = _checked(points, path, number, joints, coco)
    return KeypointSequence(people, int(size[0]), int(size[1]), fps, path, frames)


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
    return list(points) if points.ndim == 4 else [points], [], size, float(content.get('fps', 25)), coco


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
    numbers = _frame_numbers([a['image_id'] for a in annotations], images)
    people, frames = [], []
    for person, (track, points) in enumerate(sorted(tracks.items(), key=lambda item: _natural(item[0]))):
        names = sorted(points, key=numbers.__getitem__)
        counts = {len(points[name]) for name in names}
        if len(counts) > 1:
            raise UserError(f'{path}: person {track} has {sorted(counts)} joints in different images')
        people.append(np.stack([points[name] for name in names]))
        frames.append(np.array([numbers[name] for name in names]))
        _report_gaps(f'{path}, person {person} (track {track})', names, frames[-1])
    fps = float(content.get('fps', 25)) if isinstance(content, dict) else 25.0
    return people, frames, size, fps, True


def _natural(name) -> list[tuple[int, int, str]]:
    """Sorts numbers in names by size: '9.jpg' before '10.jpg'."""
    return [(0, int(part), '') if part.isdecimal() else (1, 0, part) for part in re.split(r'(\d+)', str(name)) if part]


def _frame_numbers(names: Sequence, images: Sequence[Mapping]) -> dict:
    """The frame of each image, from 0 for the first of the file.

    By `frame_id` of all images, or the last number in their ids, in units of the largest step that all share; where that does
    not tell images apart, they follow one another.
    """
    listed = {image['id']: image.get('frame_id') for image in images if isinstance(image, Mapping) and 'id' in image}
    every = sorted({*names, *listed}, key=_natural)
    by_frame = all(isinstance(listed.get(name), int) for name in names)
    if by_frame:
        every = sorted((name for name in every if isinstance(listed.get(name), int)), key=listed.__getitem__)
        found = [listed[name] for name in every]
    else:
        digits = [re.findall(r'\d+', str(name)) for name in every]
        found = [int(numbers[-1]) for numbers in digits if numbers]
    if len(found) != len(every) or any(a >= b for a, b in zip(found, found[1:])):
        return {name: place for place, name in enumerate(every)}
    step = math.gcd(*(b - found[0] for b in found)) or 1
    return {name: (number - found[0]) // step for name, number in zip(every, found)}


def _report_gaps(who: str, names: Sequence, frames: np.ndarray) -> None:
    """Warns where a person is missing between frames."""
    parts = _stretches(frames)
    if len(parts) == 1:
        return
    if all(part.stop - part.start == 1 for part in parts):
        raise UserError(f'{who}: no two of its {len(frames)} frames follow one another (images {names[0]!r}, {names[1]!r}, ...); '
                        'the model reads motion and needs a sequence of at least two frames')
    gaps = [f'{frames[part.start] - frames[part.start - 1] - 1} between images {names[part.start - 1]!r} and '
            f'{names[part.start]!r}' for part in parts[1:]]
    single = sum(part.stop - part.start == 1 for part in parts)
    warnings.warn(
        f'{who}: frames are missing, ' + ', '.join(gaps[:5]) + (f', and {len(gaps) - 5} gaps more' if len(gaps) > 5 else '')
        + f'; the {len(parts)} stretches are lifted apart, no window runs across a gap'
        + (f' (frames on their own, lifted without motion: {single})' if single else ''), stacklevel=4)


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
    """Of each person (T, K, 3): metres in the camera's axes (x right, y down, z forward), relative to the root.

    Stretches between missing frames go through the model as videos of their own.
    """
    import torch

    from mmxf.structures.cameras import normalise_screen

    parts = sequence.stretches()
    inputs = [torch.from_numpy(normalise_screen(sequence.people[person][part], sequence.width, sequence.height)
                               .astype(np.float32)) for person, part in parts]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            samples = model.test_step(dict(inputs=inputs, data_samples=None))
    finally:
        model.train(was_training)
    found = [sample.pred_keypoints_3d.cpu().numpy() for sample in samples]
    return [np.concatenate([poses for poses, (owner, _) in zip(found, parts) if owner == person])
            for person in range(len(sequence.people))]
