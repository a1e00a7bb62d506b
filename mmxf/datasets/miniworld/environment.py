"""What surrounds the things: an empty room, or open ground with road, hills and sky.

Both answer three questions for rays: where they end and on which face (``trace``), which way that face looks
(``normals``) and what it looks like (``albedo``). ``labels[face]`` is the class label of a face.
"""

from dataclasses import dataclass

import numpy as np

from . import textures as tx
from .metainfo import LABELS

FAR = 400.0  # metres; open ground ends here in haze


@dataclass
class Light:
    """One light with shadows, and the ambient light from above and below.

    Args:
        position: (3,) of a lamp, or None for the sun.
        direction: (3,) unit vector towards the sun, ignored for a lamp.
        colour, sky, bounce: (3,) linear RGB of the light, the ambient light on upward and on downward faces.
        reach: metres at which a lamp has fallen to half.
    """

    colour: np.ndarray
    sky: np.ndarray
    bounce: np.ndarray
    direction: np.ndarray | None = None
    position: np.ndarray | None = None
    reach: float = 4.0


@dataclass
class Room:
    """A box without furniture seen from inside: x0 <= x <= x1, y0 <= y <= y1, 0 <= z <= height.

    ``wall``, ``floor``: style names; colours are linear RGB (3,). The lamp is a glowing disc in the ceiling.
    """

    extent: tuple[float, float, float, float]
    height: float
    wall: str
    floor: str
    wall_colours: np.ndarray  # (2, 3)
    floor_colours: np.ndarray  # (2, 3)
    ceiling_colour: np.ndarray
    lamp: np.ndarray  # (2,) x, y
    labels = np.array([LABELS['wall']] * 4 + [LABELS['floor'], LABELS['ceiling']])
    haze = None
    sky = None

    WALLS = ('paint', 'stripes', 'bricks')
    FLOORS = ('planks', 'tiles', 'carpet')

    def trace(self, origin, d):
        """Rays from inside, (3, 1) and (3, N) -> distance (N,), face (N,) 0..5: x0, x1, y0, y1, floor,
        ceiling."""
        low = (self.extent[0], self.extent[2], 0.0)
        high = (self.extent[1], self.extent[3], self.height)
        best = np.full(d.shape[1], np.inf, np.float32)
        face = np.zeros(d.shape[1], np.int8)
        for k in range(3):
            up = d[k] > 0
            rate = np.where(np.abs(d[k]) < 1e-9, np.float32(1e-9), d[k])
            t = np.abs((np.where(up, np.float32(high[k]), np.float32(low[k])) - origin[k]) / rate)
            closer = t < best
            best = np.where(closer, t, best)
            face = np.where(closer, up + np.int8(2 * k), face)
        return best, face

    def normals(self, face, points):
        """(3, N) unit normals, pointing into the room."""
        table = np.zeros((3, 6), np.float32)
        for k in range(3):
            table[k, 2 * k], table[k, 2 * k + 1] = 1, -1
        return table[:, face]

    def albedo(self, face, points, footprint):
        """Linear colour (3, N) and glow (N,): where 1, the colour is shown unlit."""
        x, y, z = points[0] - np.float32(self.lamp[0]), points[1] - np.float32(self.lamp[1]), points[2]
        out = np.empty((3, len(face)), np.float32)
        glow = np.zeros(len(face), np.float32)
        for name, sel in (('wall', face < 4), ('floor', face == 4), ('ceiling', face == 5)):
            sel = np.flatnonzero(sel)
            if not len(sel):
                continue
            a, b, c, fp = x[sel], y[sel], z[sel], footprint[sel]
            if name == 'wall':
                out[:, sel] = self._wall(np.where(face[sel] < 2, b, a), c, fp)
            elif name == 'floor':
                out[:, sel] = self._floor(a, b, fp)
            else:
                # Panels of 1.2 m, the lamp in the middle of one.
                p, q = a / 1.2 - 0.5, b / 1.2 - 0.5
                seam = np.minimum(np.abs(p - np.round(p)), np.abs(q - np.round(q))) * 1.2
                shade = 1 - 0.25 * (seam < 0.015) * tx.fade(fp, 0.1)
                disc = np.hypot(a, b) < 0.28
                out[:, sel] = np.where(disc, 1.1, self.ceiling_colour[:, None] * shade)
                glow[sel] = disc
        return out, glow

    def _wall(self, u, z, footprint):
        one, two = self.wall_colours
        if self.wall == 'bricks':
            joint, tone = tx.cells(u, z, 0.5, 0.17, 0.03)
            detail = tx.fade(footprint, 0.3)
            colour = one[:, None] * (1 + (0.5 * tone - 0.25) * detail)
            mix = 0.25 + (joint - 0.25) * detail
            colour = colour + (two[:, None] - colour) * mix
        elif self.wall == 'stripes':
            mix = 0.5 + (tx.stripes(u / 0.5) - 0.5) * tx.fade(footprint, 0.5)
            colour = one[:, None] + (two - one)[:, None] * mix
        else:
            mix = (z < 0.95).astype(np.float32)
            colour = one[:, None] + (two - one)[:, None] * mix
            colour = colour * (1 - 0.35 * (np.abs(z - 0.97) < 0.03))
        colour = colour * (0.9 + 0.2 * tx.noise(u * 0.5, z * 0.5))
        return np.where(z < 0.11, np.float32(0.55), colour)  # a white skirting board in every room

    def _floor(self, x, y, footprint):
        one, two = self.floor_colours
        if self.floor == 'planks':
            joint, tone = tx.cells(x, y, 1.6, 0.17, 0.012)
            grain = tx.noise(x * 0.7, y * 6.0)
            detail = tx.fade(footprint, 0.3)
            mix = 0.5 + (0.75 * tone + 0.6 * grain - 0.7) * detail
            return (one[:, None] + (two - one)[:, None] * mix) * (1 - 0.45 * joint * detail)
        if self.floor == 'tiles':
            mix = 0.5 + (tx.checker(x / 0.55, y / 0.55) - 0.5) * tx.fade(footprint, 0.8)
            return (one[:, None] + (two - one)[:, None] * mix) * (0.9 + 0.2 * tx.noise(x, y))
        mix = tx.noise(x * 2.2, y * 2.2) * 0.6 + tx.noise(x * 9, y * 9) * 0.4 * tx.fade(footprint, 0.3)
        return one[:, None] + (two - one)[:, None] * mix


@dataclass
class Ground:
    """The plane z = 0 with grass and a straight road, two rings of hills, and the sky.

    Args:
        grass, soil: linear RGB of the lush and the dry grass. asphalt, hill: linear RGB.
        road: None or (offset, nx, ny, half width): points with |n . (x, y) - offset| < half width.
        rings: list of (radius, amplitude, phases (4,)); hills are vertical curtains around the world's
            origin.
        zenith, horizon, cloud, glow: linear RGB of the sky. cover: clouds, 0..1. shift: (2,) offset of the
            textures.
        sun: (3,) unit vector towards the sun.
    """

    grass: np.ndarray
    soil: np.ndarray
    asphalt: np.ndarray
    hill: np.ndarray
    road: tuple[float, float, float, float] | None
    rings: list
    zenith: np.ndarray
    horizon: np.ndarray
    cloud: np.ndarray
    glow: np.ndarray
    cover: float
    shift: np.ndarray
    sun: np.ndarray
    haze: float = 0.004
    labels = np.array([LABELS[n] for n in ('grass', 'road', 'hill', 'hill', 'sky')])

    def trace(self, origin, d):
        """Rays from z > 0 -> distance (N,) (inf in the sky), face (N,): grass, road, near hills, far hills,
        sky."""
        n = d.shape[1]
        ox, oy, oz = (float(a[0]) for a in origin)
        down = d[2] < -1e-6
        t = np.where(down, -oz / np.where(down, d[2], -1), np.inf).astype(np.float32)
        t[t > FAR] = np.inf
        face = np.full(n, 4, np.int8)
        hit = np.flatnonzero(np.isfinite(t))
        face[hit] = self._on_road(ox + t[hit] * d[0, hit], oy + t[hit] * d[1, hit])
        for k, (radius, amplitude, phases) in enumerate(self.rings):
            top = np.float32(amplitude * 2.2)
            far = radius + float(np.hypot(ox, oy))
            # Only rays that can pass the ring between the ground and the highest summit.
            sel = np.flatnonzero((d[2] * far < top - oz) & (t > radius * 0.5) & (d[2] > -0.2))
            if not len(sel):
                continue
            dx, dy = d[0, sel], d[1, sel]
            a = np.maximum(dx * dx + dy * dy, 1e-6)
            b = ox * dx + oy * dy
            s = (np.sqrt(b * b - a * (ox * ox + oy * oy - radius * radius)) - b) / a
            z = oz + s * d[2, sel]
            ok = (z >= 0) & (s < t[sel])
            ok &= z < self._summit(np.arctan2(oy + s * dy, ox + s * dx), amplitude, phases)
            sel = sel[ok]
            t[sel], face[sel] = s[ok], 2 + k
        return t, face

    @staticmethod
    def _summit(azimuth, amplitude, phases):
        """Height of a ring of hills at an azimuth: periodic, never below 0.2 of the amplitude."""
        out = np.zeros_like(azimuth)
        for frequency, weight, phase in zip((3, 7, 13, 29), (0.5, 0.3, 0.16, 0.05), phases):
            out += np.float32(weight) * np.sin(azimuth * frequency + np.float32(phase))
        return np.float32(amplitude) * np.maximum(1 + out, 0.2)

    def _on_road(self, x, y):
        if self.road is None:
            return np.zeros(len(x), np.int8)
        offset, nx, ny, half = self.road
        return (np.abs(x * np.float32(nx) + y * np.float32(ny) - offset) < half).astype(np.int8)

    def normals(self, face, points):
        """(3, N) unit normals; hills get slopes that lean back and roll, though they are upright curtains."""
        out = np.zeros((3, len(face)), np.float32)
        out[2] = 1
        sel = np.flatnonzero((face == 2) | (face == 3))
        if len(sel):
            x, y, z = points[:, sel]
            roll = np.arctan2(y, x) + 1.6 * (tx.noise(x * 0.03, y * 0.03 + z * 0.05) - 0.5)
            out[0, sel], out[1, sel], out[2, sel] = -0.65 * np.cos(roll), -0.65 * np.sin(roll), 0.76
        return out

    def albedo(self, face, points, footprint):
        """Linear colour (3, N) and glow (N,) of ground and hills (the sky has its own method)."""
        x, y, z = points
        x, y = x + np.float32(self.shift[0]), y + np.float32(self.shift[1])
        out = np.empty((3, len(face)), np.float32)
        sel = np.flatnonzero(face == 0)
        if len(sel):
            a, b, fp = x[sel], y[sel], footprint[sel]
            blades = (tx.noise(a * 5.0, b * 5.0) - 0.5) * tx.fade(fp, 0.5)
            patch = tx.noise(a * 0.35, b * 0.35)
            mix = np.clip(1.5 * patch - 0.25 + 0.7 * blades, 0, 1)
            out[:, sel] = (self.grass[:, None] + (self.soil - self.grass)[:, None] * mix) * (1 + 0.9 * blades)
        sel = np.flatnonzero(face == 1)
        if len(sel):
            out[:, sel] = self._asphalt(points[0, sel], points[1, sel], footprint[sel])
        for k in (2, 3):
            sel = np.flatnonzero(face == k)
            if len(sel):
                radius = self.rings[k - 2][0]
                turn = np.arctan2(points[1, sel], points[0, sel]) * np.float32(radius)
                trees = tx.noise(turn * 0.25, z[sel] * 0.25) - 0.5
                out[:, sel] = self.hill[:, None] * (1 + 1.1 * trees)
        return out, np.zeros(len(face), np.float32)

    def _asphalt(self, x, y, footprint):
        offset, nx, ny, half = (np.float32(a) for a in self.road)
        across, along = x * nx + y * ny - offset, y * nx - x * ny
        grit = (tx.noise(x * 8.0, y * 8.0) - 0.5) * tx.fade(footprint, 0.4)
        out = self.asphalt[:, None] * (0.85 + 0.3 * tx.noise(x * 0.4, y * 0.4) + 0.7 * grit)
        centre = (np.abs(across) < 0.07) & (along - np.floor(along / 3) * 3 < 1.6)
        border = np.abs(np.abs(across) - half + 0.25) < 0.06
        paint = (centre | border) * tx.fade(footprint, 0.5)
        return out + (np.float32(0.62) - out) * paint * np.float32(0.85)

    def sky(self, d):
        """Linear colour (3, N) of the sky in directions (3, N)."""
        up = np.maximum(d[2], 0)
        mix = np.sqrt(up)
        out = self.horizon[:, None] + (self.zenith - self.horizon)[:, None] * mix
        near = np.clip(d[0] * self.sun[0] + d[1] * self.sun[1] + d[2] * self.sun[2], 0, 1).astype(np.float32)
        square = near * near
        halo = square * square * square * square
        disc = np.clip((near - np.float32(0.9990)) * 2500, 0, 1)
        out = out + self.glow[:, None] * (0.35 * halo * near + disc)
        if self.cover > 0:
            scale = 0.55 / (up + 0.1)
            density = tx.noise(
                d[0] * scale + np.float32(self.shift[0]), d[1] * scale + np.float32(self.shift[1])
            )
            edge = np.float32(0.78 - 0.5 * self.cover)
            cloud = np.clip((density - edge) * 4.5, 0, 1) * np.clip(up * 7 - 0.25, 0, 1)
            shade = 1 - 0.22 * np.clip((density - edge) * 2.2, 0, 1)
            out = out + (self.cloud[:, None] * shade - out) * cloud * np.float32(0.9)
        return out
