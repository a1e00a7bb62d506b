"""A scene: surroundings, things, light and a camera path, all drawn from one seed."""

from dataclasses import dataclass, replace

import numpy as np

from . import textures as tx
from .camera import Camera
from .environment import Ground, Light, Room
from .metainfo import LABELS, THING_CLASSES, segment_id
from .primitives import BOX, Primitives, make
from .things import Person, Thing, random_thing

STYLES = ('room', 'ground')


@dataclass(frozen=True)
class CameraPath:
    """A camera that stands, or sways around its place and pans.

    Args:
        base: the view at rest. yaw, pitch: radians of that view. fov: radians.
        sway: (3,) metres, pan: radians: amplitudes of the motion, 0 for a still camera. period: seconds.
    """

    base: Camera
    yaw: float
    pitch: float
    fov: float
    sway: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pan: float = 0.0
    period: float = 8.0

    def at(self, time: float) -> Camera:
        if not self.pan and not any(self.sway):
            return self.base
        a = 2 * np.pi * time / self.period
        offset = np.array(self.sway) * [np.sin(a), 1 - np.cos(a), np.sin(2 * a)]
        base = self.base
        return Camera.look(
            base.position + offset,
            self.yaw + self.pan * np.sin(a),
            self.pitch,
            base.width,
            base.height,
            base.model,
            self.fov,
        )


@dataclass(frozen=True)
class Scene:
    """Everything there is; ``render.render_frame`` turns it into pictures at any time.

    Args:
        environment: Room or Ground. light: the light. fixed: primitives of the surroundings (garden walls),
            or None.
        things: objects with distinct track ids. camera: path of the camera.
    """

    environment: Room | Ground
    light: Light
    fixed: Primitives | None
    things: tuple[Thing, ...]
    camera: CameraPath

    def primitives(self, time: float) -> Primitives | None:
        """All primitives at ``time`` seconds, one group an object; None when there are none."""
        parts = [thing.primitives(time) for thing in self.things]
        if self.fixed is not None:
            parts.append(self.fixed)
        return Primitives.join(parts) if parts else None

    @property
    def people(self) -> list[Person]:
        return [t for t in self.things if isinstance(t, Person)]


def make_scene(
    seed,
    width: int = 128,
    height: int = 128,
    camera: str = 'perspective',
    style: str | None = None,
    moving: bool = False,
    things: tuple[int, int] = (2, 7),
) -> Scene:
    """A random scene; the same arguments always give the same scene.

    Args:
        seed: int or sequence of ints.
        width, height: picture size in pixels.
        camera: 'perspective' or 'equirectangular'.
        style: 'room', 'ground', or None for either.
        moving: whether things and camera move with time.
        things: least and largest number of things; those hardly seen at time 0 are taken out again.

    Raises:
        ValueError: for a style or camera that is not one of these.
    """
    if style not in (None, *STYLES):
        raise ValueError(f'style {style!r} is not one of {STYLES}')
    for attempt in range(8):
        rng = np.random.default_rng([*np.atleast_1d(seed).tolist(), attempt])
        scene = _draw(rng, width, height, camera, style or STYLES[int(rng.random() < 0.55)], moving, things)
        scene = _without_hidden(scene)
        if len(scene.things) >= min(things[0], 2):
            break
    return scene


def _draw(rng, width, height, camera, style, moving, count) -> Scene:
    fov = rng.uniform(np.radians(52), np.radians(74))
    eye, yaw = np.zeros(2), rng.uniform(-np.pi, np.pi)
    around = camera == 'equirectangular'
    if style == 'room':
        sides = rng.uniform(5.0, 9.0, 2)
        x0, y0 = -sides * rng.uniform(0.35, 0.65, 2)
        extent = (x0, x0 + sides[0], y0, y0 + sides[1])
        if not around:  # stand near a wall and look across
            wall = rng.integers(4)
            along = rng.uniform(0.25, 0.75)
            gap = rng.uniform(0.45, 0.9)
            u, v = (gap, along) if wall % 2 == 0 else (-gap, along)
            axis = wall // 2
            eye[axis] = (extent[2 * axis] if u > 0 else extent[2 * axis + 1]) + u
            eye[1 - axis] = extent[2 - 2 * axis] + v * sides[1 - axis]
            middle = np.array([extent[0] + extent[1], extent[2] + extent[3]]) / 2
            yaw = float(np.arctan2(*(middle - eye)[::-1])) + rng.uniform(-0.25, 0.25)
        environment, light = _room(rng, extent, eye)
        ceiling = environment.height
    else:
        environment, light = _ground(rng, yaw)
        extent, ceiling = (-30, 30, -30, 30), 9.0
    level = min(rng.uniform(1.15, 2.3), ceiling - 0.4)
    pitch = 0.0 if around else float(rng.uniform(-0.22, -0.03) - 0.10 * (level - 1.6))
    base = Camera.look((*eye, level), yaw, pitch, width, height, camera, fov)
    path = CameraPath(base, yaw, pitch, fov)
    if moving:
        path = replace(
            path,
            sway=tuple(rng.uniform(-0.25, 0.25, 2)) + (rng.uniform(0, 0.04),),
            pan=rng.uniform(0.05, 0.25),
            period=rng.uniform(6, 12),
        )
    spread = np.pi if around else 0.46 * 2 * np.arctan(np.tan(fov / 2) * width / max(width, height))
    items = _place(rng, extent, eye, yaw, spread, moving, rng.integers(count[0], count[1] + 1))
    fixed = _garden_walls(rng, eye, yaw, around) if style == 'ground' and rng.random() < 0.5 else None
    return Scene(environment, light, fixed, tuple(items), path)


def _room(rng, extent, eye) -> tuple[Room, Light]:
    hue, tint = rng.random(), rng.uniform(0.12, 0.42)
    wall = str(rng.choice(Room.WALLS))
    first = tx.hsv(hue, tint, rng.uniform(0.62, 0.85))
    second = tx.hsv(hue + rng.uniform(-0.08, 0.08), tint + 0.15, rng.uniform(0.45, 0.7))
    if wall == 'bricks':
        first = tx.hsv(rng.uniform(0.0, 0.07), rng.uniform(0.4, 0.65), rng.uniform(0.5, 0.75))
        second = np.full(3, 0.75)
    elif wall == 'stripes':
        second = tx.hsv(hue, tint * 0.6, rng.uniform(0.78, 0.88))
    floor = str(rng.choice(Room.FLOORS, p=[0.5, 0.3, 0.2]))
    brown = tx.hsv(rng.uniform(0.05, 0.1), rng.uniform(0.4, 0.65), rng.uniform(0.35, 0.62))
    floors = [brown, np.minimum(brown * 1.3, 0.85)]
    if floor == 'tiles':
        floors = [
            rng.uniform(0.2, 0.4) * np.array([1, 0.97, 0.95]),
            rng.uniform(0.65, 0.85) * np.array([1, 0.97, 0.9]),
        ]
    elif floor == 'carpet':
        hue = rng.uniform(0.5, 1.08)  # no green: that is grass
        base = tx.hsv(hue, rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.55))
        floors = [base * 0.8, np.minimum(base * 1.25, 0.9)]
    height = rng.uniform(2.6, 3.4)
    x0, x1, y0, y1 = extent
    lamp = np.array([x0 + (x1 - x0) * rng.uniform(0.3, 0.7), y0 + (y1 - y0) * rng.uniform(0.3, 0.7)])
    room = Room(
        extent,
        height,
        wall,
        floor,
        tx.linear([first, second]),
        tx.linear(floors),
        tx.linear(np.array([0.97, 0.96, 0.93]) * rng.uniform(0.92, 1.0)),
        lamp,
    )
    warm = np.array([1.0, rng.uniform(0.82, 0.98), rng.uniform(0.62, 0.95)])
    power = rng.uniform(0.85, 1.25)
    light = Light(
        colour=(1.25 * power * warm).astype(np.float32),
        sky=(0.34 * warm * power).astype(np.float32),
        bounce=(0.52 * warm * power).astype(np.float32),
        reach=float(rng.uniform(3.0, 5.0)),
        position=np.array([*lamp, height - 0.12], np.float32),
    )
    return room, light


# name: sun's elevation (degrees), sun, ambient, zenith, horizon (display RGB), share of days
DAYS = {
    'noon': ((42, 68), (1.22, 1.18, 1.08), (0.56, 0.60, 0.68), (0.26, 0.48, 0.82), (0.78, 0.87, 0.94), 0.38),
    'evening': (
        (14, 28),
        (1.30, 1.02, 0.68),
        (0.52, 0.53, 0.62),
        (0.30, 0.42, 0.68),
        (0.96, 0.80, 0.60),
        0.24,
    ),
    'morning': (
        (20, 38),
        (1.20, 1.08, 0.92),
        (0.54, 0.60, 0.68),
        (0.42, 0.62, 0.86),
        (0.93, 0.89, 0.84),
        0.20,
    ),
    'overcast': (
        (40, 65),
        (0.72, 0.72, 0.73),
        (0.74, 0.76, 0.79),
        (0.58, 0.63, 0.69),
        (0.80, 0.82, 0.84),
        0.18,
    ),
}


def _ground(rng, yaw) -> tuple[Ground, Light]:
    name = str(rng.choice(list(DAYS), p=[d[-1] for d in DAYS.values()]))
    elevation, sun, ambient, zenith, horizon, _ = DAYS[name]
    elevation = np.radians(rng.uniform(*elevation))
    # Mostly behind or beside the camera: lit fronts, shadows that reach into the picture.
    azimuth = yaw + np.pi + rng.normal() * 1.1
    towards = np.array(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)],
        np.float32,
    )
    road = None
    if rng.random() < 0.6:
        turn = yaw + np.pi / 2 + (rng.normal() * 0.35 if rng.random() < 0.65 else rng.uniform(-1.2, 1.2))
        half = rng.uniform(1.3, 2.6)
        nx, ny = float(np.cos(turn)), float(np.sin(turn))
        # The line passes a point some metres ahead, so that the road is in view.
        ahead = 6 * np.array([np.cos(yaw), np.sin(yaw)]) + rng.uniform(-2, 2) * np.array([nx, ny])
        road = (float(ahead @ [nx, ny]), nx, ny, half)
    rings = []
    if rng.random() < 0.75:
        radius = rng.uniform(70, 110)
        rings = [
            (r, float(r * rng.uniform(*slope)), rng.uniform(0, 6.28, 4))
            for r, slope in ((radius, (0.05, 0.09)), (1.7 * radius, (0.08, 0.13)))
        ]
    cover = rng.uniform(0.15, 0.75) if name != 'overcast' else rng.uniform(0.7, 1.0)
    green = tx.hsv(rng.uniform(0.2, 0.31), rng.uniform(0.5, 0.7), rng.uniform(0.42, 0.6))
    dry = tx.hsv(rng.uniform(0.15, 0.22), rng.uniform(0.42, 0.6), rng.uniform(0.5, 0.66))
    white = np.array([1.0, 0.99, 0.98]) if name != 'evening' else np.array([1.0, 0.9, 0.82])
    grey = rng.uniform(0.34, 0.5)
    ground = Ground(
        grass=tx.linear(green),
        soil=tx.linear(dry),
        asphalt=tx.linear([grey, grey, grey * 1.03]),
        hill=tx.linear(tx.hsv(rng.uniform(0.26, 0.42), rng.uniform(0.3, 0.5), rng.uniform(0.32, 0.46))),
        road=road,
        rings=rings,
        zenith=tx.linear(zenith),
        horizon=tx.linear(horizon),
        cloud=tx.linear(white),
        glow=tx.linear(sun) * (0.25 if name == 'overcast' else 0.9),
        cover=float(cover),
        shift=rng.uniform(0, 64, 2),
        sun=towards,
        haze=float(rng.uniform(0.003, 0.008)),
    )
    amb = tx.linear(ambient)
    light = Light(
        colour=tx.linear(sun),
        sky=amb,
        bounce=(0.55 * amb * np.array([1.0, 1.02, 0.85])).astype(np.float32),
        direction=towards,
    )
    return ground, light


def _place(rng, extent, eye, yaw, spread, moving, count) -> list[Thing]:
    """Things on free spots in view, none inside another."""
    weights = dict(zip(THING_CLASSES, (0.37, 0.21, 0.21, 0.21)))
    placed, taken = [], []
    for _ in range(int(count)):
        name = str(rng.choice(list(weights), p=list(weights.values())))
        thing, need = random_thing(rng, name, len(placed) + 1, moving)
        for _ in range(40):
            near, far = (1.5, 4.2) if spread > 3 else (2.1, 6.8 if name == 'person' else 5.6)
            reach = np.sqrt(rng.uniform(near**2, far**2))
            angle = yaw + rng.uniform(-spread, spread)
            spot = eye + reach * np.array([np.cos(angle), np.sin(angle)])
            inside = (
                extent[0] + need + 0.1 < spot[0] < extent[1] - need - 0.1
                and extent[2] + need + 0.1 < spot[1] < extent[3] - need - 0.1
            )
            clear = all(np.hypot(*(spot - other)) > need + space + 0.08 for other, space in taken)
            if inside and clear and reach > need + 1.2:
                taken.append((spot, need))
                placed.append(thing.on_path(replace(thing.path, home=tuple(spot))))
                break
    return placed


def _garden_walls(rng, eye, yaw, around) -> Primitives:
    """One or two brick walls behind the things, part of the stuff class 'wall'."""
    parts = []
    brick = tx.linear(tx.hsv(rng.uniform(0.0, 0.08), rng.uniform(0.35, 0.6), rng.uniform(0.5, 0.78)))
    for _ in range(rng.integers(1, 3)):
        angle = yaw + (rng.uniform(-np.pi, np.pi) if around else rng.uniform(-0.5, 0.5))
        reach = rng.uniform(8.5, 15)
        spot = eye + reach * np.array([np.cos(angle), np.sin(angle)])
        turn = angle + np.pi / 2 + rng.uniform(-0.5, 0.5)
        half = (rng.uniform(1.5, 4.5), 0.14, rng.uniform(0.6, 1.3))
        c, s = np.cos(turn), np.sin(turn)
        parts.append(
            make(
                BOX,
                (*spot, half[2]),
                half,
                [[c, s, 0], [-s, c, 0], [0, 0, 1]],
                segment=segment_id(LABELS['wall']),
                colour_a=brick,
                colour_b=tx.linear([0.78, 0.76, 0.72]),
                pattern=tx.BRICKS,
            )
        )
    return Primitives.join(parts)


def _without_hidden(scene: Scene) -> Scene:
    """Take out things of which the first frame shows next to nothing: no learner could name them."""
    from .render import trace_ids  # here, as render imports Scene

    camera = scene.camera.at(0.0)
    shrink = max(1, max(camera.width, camera.height) // 96)
    small = replace(
        camera,
        width=max(camera.width // shrink, 1),
        height=max(camera.height // shrink, 1),
        focal=camera.focal / shrink,
    )
    ids = trace_ids(scene, 0.0, small)
    least = ids.size * (0.006 if camera.model == 'perspective' else 0.001)
    kept = [t for t in scene.things if np.count_nonzero(ids == t.segment) >= least]
    if len(kept) == len(scene.things):
        return scene
    renumbered = tuple(replace(t, track_id=k + 1) for k, t in enumerate(kept))
    return replace(scene, things=renumbered)
