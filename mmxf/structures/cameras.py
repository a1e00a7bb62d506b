"""Perspective cameras with Human3.6M's conventions: rotations as unit quaternions (w, x, y, z), metres, OpenCV's axes.

Arrays (numpy) come in for data, tensors (torch) for what a model computes; the functions serve both and keep the type.
"""
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class PoseCamera:
    """One calibrated view.

    Args:
        width, height: of the image, pixels.
        orientation: (4,) unit quaternion of camera to world.
        translation: (3,) position of the camera in the world, metres.
        focal, center: (2,) pixels; None where unknown.
        radial: (3,) k1, k2, k3. tangential: (2,) p of Human3.6M: p2 and p1 of OpenCV, in that order.
        name: for messages.
    """

    width: int
    height: int
    orientation: np.ndarray | None = None
    translation: np.ndarray | None = None
    focal: np.ndarray | None = None
    center: np.ndarray | None = None
    radial: np.ndarray = field(default_factory=lambda: np.zeros(3, np.float32))
    tangential: np.ndarray = field(default_factory=lambda: np.zeros(2, np.float32))
    name: str = ''

    @property
    def intrinsics(self) -> np.ndarray | None:
        """(9,) float32 focal, centre (both for image coordinates normalised by `normalise_screen`), radial, tangential."""
        if self.focal is None or self.center is None:
            return None
        center = normalise_screen(np.asarray(self.center, np.float64), self.width, self.height)
        focal = np.asarray(self.focal, np.float32) / np.float32(self.width) * 2
        return np.concatenate([focal, center, self.radial, self.tangential]).astype(np.float32)


def cross(a, b):
    """Cross product over the last axis, broadcast."""
    parts = [a[..., i] * b[..., j] - a[..., j] * b[..., i] for i, j in ((1, 2), (2, 0), (0, 1))]
    return _stack(parts)


def rotate(quaternion, points):
    """Points (..., 3) turned by unit quaternions (4,) or (..., 4)."""
    axis = quaternion[..., 1:]
    uv = cross(axis, points)
    return points + 2 * (quaternion[..., :1] * uv + cross(axis, uv))


def conjugate(quaternion):
    """The inverse of unit quaternions (..., 4)."""
    return _stack([quaternion[..., 0], *(-quaternion[..., i] for i in (1, 2, 3))])


def world_to_camera(points, orientation, translation):
    """World points (..., 3) in metres to the camera's frame."""
    return rotate(conjugate(orientation), points - translation)


def camera_to_world(points, orientation, translation):
    """Points of the camera's frame (..., 3) to the world."""
    return rotate(orientation, points) + translation


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """(4,) unit quaternion, w >= 0, of a rotation matrix (3, 3)."""
    from scipy.spatial.transform import Rotation

    x, y, z, w = Rotation.from_matrix(rotation).as_quat()
    return np.array([w, x, y, z]) * (1 if w >= 0 else -1)


def normalise_screen(points, width: float, height: float):
    """Pixels (..., 2) so that x runs from -1 to 1 over the image's width, the aspect ratio kept."""
    return points / width * 2 - _like(points, [1, height / width])


def screen_to_pixels(points, width: float, height: float):
    """The inverse of `normalise_screen`."""
    return (points + _like(points, [1, height / width])) * width / 2


def project(points, intrinsics):
    """Camera-space points (..., 3) to normalised image coordinates (..., 2), with lens distortion.

    Args:
        points: metres; rays further than 45 degrees off an axis are clamped there, as in the official code.
        intrinsics: (9,) or (..., 9), see `PoseCamera.intrinsics`.
    """
    focal, center = intrinsics[..., 0:2], intrinsics[..., 2:4]
    radial, tangential = intrinsics[..., 4:7], intrinsics[..., 7:9]
    xy = (points[..., :2] / points[..., 2:]).clip(-1, 1)
    r2 = (xy ** 2).sum(-1)[..., None]
    bend = 1 + radial[..., 0:1] * r2 + radial[..., 1:2] * r2 ** 2 + radial[..., 2:3] * r2 ** 3
    bend = bend + (tangential * xy).sum(-1)[..., None]
    return focal * (xy * bend + tangential * r2) + center


def fit_root(poses, points, intrinsics):
    """Where root-relative poses must stand to be seen at given image points, by linear least squares.

    Lens distortion is left out: over a body it moves the answer by millimetres.

    Args:
        poses: tensor (..., K, 3) relative to the root, metres.
        points: tensor (..., K, 2) normalised image coordinates.
        intrinsics: tensor (9,).

    Returns:
        tensor (..., 1, 3), positions of the root in the camera's frame.
    """
    import torch

    ray = (points - intrinsics[2:4]) / intrinsics[0:2]                                # (..., K, 2): x / z, y / z
    # x + X = ray * (z + Z)  for the unknown root (X, Y, Z): two rows a joint.
    zeros, ones = torch.zeros_like(ray[..., 0]), torch.ones_like(ray[..., 0])
    rows = torch.cat([torch.stack([ones, zeros, -ray[..., 0]], -1), torch.stack([zeros, ones, -ray[..., 1]], -1)], -2)
    target = torch.cat([ray[..., i] * poses[..., 2] - poses[..., i] for i in (0, 1)], -1)[..., None]
    normal = rows.mT @ rows
    return torch.linalg.solve(normal, rows.mT @ target).mT


def _stack(parts):
    if isinstance(parts[0], np.ndarray) or np.isscalar(parts[0]):
        return np.stack(parts, -1)
    import torch

    return torch.stack(parts, -1)


def _like(points, values):
    if isinstance(points, np.ndarray):
        return np.asarray(values, points.dtype if points.dtype.kind == 'f' else np.float64)
    return points.new_tensor(values)
