"""Perspective and equirectangular cameras.

World: right-handed, z up, metres. Camera: x right, y down, z forward (OpenCV). Image: pixel column j covers
[j, j + 1), so its centre is j + 0.5 and a point (u, v) lies in pixel (floor(u), floor(v)).
"""

from dataclasses import dataclass, field

import numpy as np

MODELS = ('perspective', 'equirectangular')


@dataclass(frozen=True)
class Camera:
    """One view.

    Args:
        position: (3,) in the world, metres.
        rotation: (3, 3), rows are the camera's right, down and forward axes in the world (world -> camera).
        width, height: image size in pixels.
        model: 'perspective' or 'equirectangular' (full sphere: longitude over the width, latitude over the
            height).
        focal: focal length in pixels, perspective only.
    """

    position: np.ndarray
    rotation: np.ndarray
    width: int
    height: int
    model: str = 'perspective'
    focal: float = field(default=0.0)

    def __post_init__(self):
        if self.model not in MODELS:
            raise ValueError(f'camera model {self.model!r} is not one of {MODELS}')
        if self.width < 1 or self.height < 1:
            raise ValueError(f'image size must be positive, got {self.width} x {self.height}')
        if self.model == 'perspective' and self.focal <= 0:
            raise ValueError(f'a perspective camera needs focal > 0 pixels, got {self.focal}')

    @classmethod
    def look(
        cls,
        position,
        yaw: float,
        pitch: float,
        width: int,
        height: int,
        model: str = 'perspective',
        fov: float = 1.0,
    ) -> 'Camera':
        """Level camera at ``position`` turned by ``yaw`` (from +x towards +y) and ``pitch`` (up positive),
        radians.

        ``fov`` is the angle over the longer image side, radians; equirectangular views ignore it.
        """
        cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
        forward = np.array([cp * cy, cp * sy, sp])
        right = np.array([sy, -cy, 0.0])
        rotation = np.stack([right, np.cross(forward, right), forward])
        focal = 0.5 * max(width, height) / float(np.tan(0.5 * fov)) if model == 'perspective' else 0.0
        return cls(np.asarray(position, float), rotation, width, height, model, focal)

    @property
    def intrinsics(self) -> np.ndarray:
        """(3, 3) matrix K of a perspective camera."""
        if self.model != 'perspective':
            raise ValueError('an equirectangular camera has no intrinsic matrix')
        return np.array([[self.focal, 0, self.width / 2], [0, self.focal, self.height / 2], [0, 0, 1]])

    @property
    def translation(self) -> np.ndarray:
        """(3,) t of x_camera = rotation @ x_world + t."""
        return -self.rotation @ self.position

    @property
    def pixel_angle(self) -> float:
        """Angle one pixel spans near the image centre, radians."""
        return 1 / self.focal if self.model == 'perspective' else 2 * float(np.pi) / self.width

    def directions(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Unit ray directions in the world, (3, *broadcast(u, v)) float32, through image points u, v in
        pixels."""
        if self.model == 'perspective':
            x = ((u - self.width / 2) / self.focal).astype(np.float32)
            y = ((v - self.height / 2) / self.focal).astype(np.float32)
            z = 1 / np.sqrt(x * x + y * y + 1)
            x, y = x * z, y * z
        else:
            lon = ((u / self.width - 0.5) * (2 * np.pi)).astype(np.float32)
            lat = ((0.5 - v / self.height) * np.pi).astype(np.float32)
            cos_lat = np.cos(lat)
            x, y, z = cos_lat * np.sin(lon), -np.sin(lat), cos_lat * np.cos(lon)
        rot = self.rotation.astype(np.float32)
        return np.stack([x * rot[0, k] + y * rot[1, k] + z * rot[2, k] for k in range(3)])

    def rays(self) -> np.ndarray:
        """Directions through all pixel centres, (3, H * W) float32, row-major."""
        u = (np.arange(self.width) + 0.5)[None, :]
        v = (np.arange(self.height) + 0.5)[:, None]
        return self.directions(u, v).reshape(3, -1)

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) -> camera coordinates (..., 3)."""
        return (np.asarray(points) - self.position) @ self.rotation.T

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (..., 3) -> image points (..., 2) in pixels and depth (...) in metres.

        Depth is the z coordinate for perspective, the distance for equirectangular. Points that are not in
        front of a perspective camera get NaN as image points.
        """
        local = self.to_camera(points)
        x, y, z = local[..., 0], local[..., 1], local[..., 2]
        if self.model == 'perspective':
            safe = np.where(z > 1e-6, z, np.nan)
            return np.stack(
                [self.focal * x / safe + self.width / 2, self.focal * y / safe + self.height / 2], -1
            ), z
        dist = np.linalg.norm(local, axis=-1)
        u = (np.arctan2(x, z) / (2 * np.pi) + 0.5) * self.width
        v = (np.arcsin(np.clip(y / np.maximum(dist, 1e-9), -1, 1)) / np.pi + 0.5) * self.height
        return np.stack([np.mod(u, self.width), v], -1), dist

    def backproject(self, depth: np.ndarray) -> np.ndarray:
        """Depth map (H, W) of this camera -> world points (H, W, 3); inf where depth is inf."""
        rays = self.rays().reshape(3, self.height, self.width).astype(float)
        scale = depth / self.forward_component(rays)
        return np.moveaxis(rays * scale, 0, -1) + self.position

    def forward_component(self, rays: np.ndarray) -> np.ndarray:
        """What turns a distance along ``rays`` (3, ...) into this camera's depth: cos to the axis, or 1."""
        if self.model != 'perspective':
            return np.ones(rays.shape[1:], rays.dtype)
        f = [float(a) for a in self.rotation[2]]
        return rays[0] * f[0] + rays[1] * f[1] + rays[2] * f[2]

    def sphere_rects(self, centres: np.ndarray, radii: np.ndarray) -> np.ndarray:
        """Pixel rectangles that contain the pictures of spheres.

        Args:
            centres: (M, 3) world.
            radii: (M,) metres.

        Returns:
            (M, 4) int64: first row, past-last row, first column, past-last column. Equirectangular columns
            may be
            negative or pass the width: take them modulo the width. Invisible spheres get an empty rectangle.
        """
        local, radii = self.to_camera(centres), np.asarray(radii, float)
        bounds = self._perspective_bounds if self.model == 'perspective' else self._sphere_bounds
        top, bottom, left, right = bounds(local, radii)
        # One pixel of slack on each side absorbs float32 rounding of the rays.
        rows = np.clip([np.floor(top) - 1, np.ceil(bottom) + 1], 0, self.height)
        columns = np.array([np.floor(left) - 1, np.ceil(right) + 1])
        if self.model == 'perspective':
            columns = np.clip(columns, 0, self.width)
        else:
            full = columns[1] - columns[0] >= self.width
            columns = np.where(full, np.array([[0], [self.width]]), columns)
        rects = np.stack([rows[0], rows[1], columns[0], columns[1]], 1).astype(np.int64)
        rects[(rects[:, 1] <= rects[:, 0]) | (rects[:, 3] <= rects[:, 2])] = 0
        return rects

    def _perspective_bounds(self, local, radii):
        z = local[:, 2]
        out = []
        for axis, size in ((1, self.height), (0, self.width)):
            p = local[:, axis]
            root = np.sqrt(np.maximum(p * p + z * z - radii * radii, 0))
            for sign in (-1, 1):  # tangent lines from the eye in the plane of this axis and the optical axis
                num, den = p * root + sign * z * radii, z * root - sign * p * radii
                bound = self.focal * num / np.where(den > 1e-9, den, 1) + size / 2
                inside = (den > 1e-9) & (z > radii)
                out.append(np.where(inside, bound, np.where(sign < 0, 0, size)))
                out[-1] = np.where(z < -radii, 0, np.clip(out[-1], -1e6, 1e6))
        return out

    def _sphere_bounds(self, local, radii):
        dist = np.linalg.norm(local, axis=1)
        alpha = np.arcsin(np.clip(radii / np.maximum(dist, 1e-9), 0, 1))
        alpha = np.where(dist <= radii, np.pi, alpha)
        lat = np.arcsin(np.clip(-local[:, 1] / np.maximum(dist, 1e-9), -1, 1))
        lon = np.arctan2(local[:, 0], local[:, 2])
        pole = np.abs(lat) + alpha >= np.pi / 2 - 1e-3
        half = np.arcsin(np.clip(np.sin(alpha) / np.maximum(np.cos(lat), 1e-6), 0, 1))
        half = np.where(pole, np.pi, half)
        scale_v, scale_u = self.height / np.pi, self.width / (2 * np.pi)
        return (
            (np.pi / 2 - lat - alpha) * scale_v,
            (np.pi / 2 - lat + alpha) * scale_v,
            (lon - half + np.pi) * scale_u,
            (lon + half + np.pi) * scale_u,
        )
