"""The countable objects of MiniWorld and how they move."""

from dataclasses import dataclass, replace

import numpy as np

from . import people
from . import textures as tx
from .metainfo import LABELS, segment_id
from .primitives import BOX, CYLINDER, SPHERE, Primitives, make


@dataclass(frozen=True)
class Path:
    """A loop on the ground: a circle of ``radius`` around ``home``, or a fixed point when the radius is 0.

    Args:
        home: (2,) metres. radius: metres. rate: radians a second. phase: radians at time 0. facing: heading
            of a
        still thing in radians.
    """

    home: tuple[float, float]
    radius: float = 0.0
    rate: float = 0.0
    phase: float = 0.0
    facing: float = 0.0

    def at(self, time: float) -> tuple[np.ndarray, float]:
        """Position (2,) in metres and heading in radians at ``time`` seconds."""
        if self.radius == 0:
            return np.array(self.home), self.facing
        a = self.phase + self.rate * time
        spot = np.array(self.home) + self.radius * np.array([np.cos(a), np.sin(a)])
        return spot, a + np.sign(self.rate) * np.pi / 2


@dataclass(frozen=True)
class Thing:
    """One object. Subclasses say what it is made of at a time.

    Args:
        track_id: 1..999, the same in all frames. path: where it is when.
    """

    track_id: int
    path: Path
    name = ''

    @property
    def label(self) -> int:
        return LABELS[self.name]

    @property
    def segment(self) -> int:
        return segment_id(self.label, self.track_id)

    def primitives(self, time: float) -> Primitives:
        raise NotImplementedError

    def on_path(self, path: Path) -> 'Thing':
        return replace(self, path=path)


@dataclass(frozen=True)
class Look:
    """Colours (linear RGB), pattern, its scale, and gloss of a thing."""

    colour_a: np.ndarray
    colour_b: np.ndarray
    pattern: int
    scale: float
    gloss: float

    def kwargs(self) -> dict:
        return dict(
            colour_a=self.colour_a,
            colour_b=self.colour_b,
            pattern=self.pattern,
            scale=self.scale,
            gloss=self.gloss,
        )


@dataclass(frozen=True)
class Sphere(Thing):
    """A ball that lies, or bounces and rolls when it moves."""

    radius: float
    tilt: np.ndarray  # (3, 3)
    look: Look
    bounce: float = 0.0
    name = 'sphere'

    def primitives(self, time: float) -> Primitives:
        spot, heading = self.path.at(time)
        z = self.radius + self.bounce * abs(np.sin(2.2 * time + self.path.phase))
        roll = self.path.radius * abs(self.path.rate) * time / self.radius
        c, s = np.cos(roll), np.sin(roll)
        side = np.array([-np.sin(heading), np.cos(heading), 0.0])
        cross = np.array([[0, -side[2], side[1]], [side[2], 0, -side[0]], [-side[1], side[0], 0]])
        turn = c * np.eye(3) + s * cross + (1 - c) * np.outer(side, side)
        return make(
            SPHERE,
            (*spot, z),
            (self.radius,) * 3,
            self.tilt @ turn.T,
            segment=self.segment,
            **self.look.kwargs(),
        )


@dataclass(frozen=True)
class Box(Thing):
    """A crate that stands on the ground, turned by its heading."""

    half: tuple[float, float, float]
    look: Look
    name = 'box'

    def primitives(self, time: float) -> Primitives:
        spot, a = self.path.at(time)
        c, s = np.cos(a), np.sin(a)
        return make(
            BOX,
            (*spot, self.half[2]),
            self.half,
            [[c, s, 0], [-s, c, 0], [0, 0, 1]],
            segment=self.segment,
            **self.look.kwargs(),
        )


@dataclass(frozen=True)
class Cylinder(Thing):
    """A drum or pole, standing, or lying across its heading and rolling when it moves."""

    radius: float
    half: float
    lying: bool
    look: Look
    name = 'cylinder'

    def primitives(self, time: float) -> Primitives:
        spot, a = self.path.at(time)
        c, s = np.cos(a), np.sin(a)
        frame = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
        z = self.half
        if self.lying:
            z = self.radius
            roll = self.path.radius * abs(self.path.rate) * time / self.radius
            front, up = frame[0], frame[2]
            frame = np.stack(
                [
                    np.cos(roll) * front - np.sin(roll) * up,
                    np.cos(roll) * up + np.sin(roll) * front,
                    -frame[1],
                ]
            )
        return make(
            CYLINDER,
            (*spot, z),
            (self.radius, self.radius, self.half),
            frame,
            segment=self.segment,
            **self.look.kwargs(),
        )


@dataclass(frozen=True)
class Person(Thing):
    """A person who walks (``swing`` > 0; strides match the speed of the path) or keeps ``pose``."""

    body: people.Body
    swing: float
    phase: float
    pose: dict
    name = 'person'

    def joints(self, time: float) -> dict[str, np.ndarray]:
        """Joint name -> (3,) in the world; see people."""
        spot, heading = self.path.at(time)
        pose = self.pose
        if self.swing > 0:
            speed = self.path.radius * abs(self.path.rate)
            stride = people.stride_speed(self.body.height, self.swing, 1.0)
            pose = people.walk(self.phase + 2 * np.pi * speed / stride * time, self.swing)
        return people.joints(pose, self.body.height, spot, heading)

    def primitives(self, time: float) -> Primitives:
        return people.figure(self.joints(time), self.body, self.segment)


def random_colour(rng: np.random.Generator, saturation=(0.55, 0.95), value=(0.5, 0.98)) -> np.ndarray:
    """A vivid linear RGB colour of any hue."""
    return tx.linear(tx.hsv(rng.random(), rng.uniform(*saturation), rng.uniform(*value)))


def random_look(rng: np.random.Generator, patterns, scale=(1, 1), gloss=0.0) -> Look:
    """Two colours, one of ``patterns`` and a whole-number scale from the range ``scale``, times two."""
    other = (
        random_colour(rng) if rng.random() < 0.4 else tx.linear(rng.choice([0.95, 0.9, 0.12]) * np.ones(3))
    )
    return Look(
        random_colour(rng),
        other,
        int(rng.choice(patterns)),
        2.0 * rng.integers(scale[0], scale[1] + 1),
        gloss,
    )


def random_body(rng: np.random.Generator) -> people.Body:
    skin = tx.linear(
        [(0.96, 0.80, 0.69), (0.87, 0.67, 0.53), (0.70, 0.49, 0.35), (0.45, 0.30, 0.22)][rng.integers(4)]
    )
    hair = tx.linear(
        [(0.12, 0.09, 0.08), (0.32, 0.19, 0.11), (0.72, 0.55, 0.3), (0.6, 0.58, 0.56), (0.55, 0.24, 0.12)][
            rng.integers(5)
        ]
    )
    trousers = tx.linear(
        tx.hsv(
            *[
                (0.6, 0.5, rng.uniform(0.3, 0.6)),
                (0.1, 0.3, rng.uniform(0.3, 0.75)),
                (0.0, 0.0, rng.uniform(0.15, 0.5)),
            ][rng.integers(3)]
        )
    )
    return people.Body(
        height=rng.uniform(1.52, 1.92),
        build=rng.uniform(0.88, 1.2),
        skin=skin,
        hair=hair,
        shirt=random_colour(rng, (0.3, 0.9), (0.45, 0.98)),
        shirt_b=tx.linear(np.ones(3) * rng.choice([0.95, 0.2])),
        trousers=trousers,
        shoes=tx.linear(np.ones(3) * rng.choice([0.12, 0.3, 0.9])),
        short_sleeves=bool(rng.random() < 0.6),
        shorts=bool(rng.random() < 0.3),
        shirt_pattern=int(rng.choice([tx.PLAIN, tx.PLAIN, tx.BANDS])),
    )


def random_thing(rng: np.random.Generator, name: str, track_id: int, moving: bool) -> tuple[Thing, float]:
    """A thing at the origin and the radius of the ground it needs, loop included."""
    speed = rng.uniform(0.3, 0.9)
    still = Path((0.0, 0.0), facing=rng.uniform(-np.pi, np.pi), phase=rng.uniform(0, 6.28))
    loop = rng.uniform(0.5, 1.0) if moving else 0.0
    turn = rng.choice([-1, 1])
    path = replace(still, radius=loop, rate=turn * speed / loop) if moving and rng.random() < 0.7 else still
    if name == 'sphere':
        radius = rng.uniform(0.28, 0.62)
        look = random_look(
            rng, [tx.PLAIN, tx.STRIPES, tx.CHECKER, tx.DOTS], (2, 4), gloss=rng.uniform(0.1, 0.6)
        )
        tilt = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        bounce = rng.uniform(0.0, 0.5) * (path.radius > 0)
        return Sphere(
            track_id, path, radius, tilt * np.sign(np.linalg.det(tilt)), look, bounce
        ), radius + path.radius
    if name == 'box':
        half = tuple(rng.uniform(0.22, 0.52, 3))
        look = random_look(rng, [tx.PLAIN, tx.CRATE, tx.CRATE, tx.CHECKER, tx.BANDS], (1, 2))
        if look.pattern == tx.CRATE:
            look = replace(look, scale=0.07)
        return Box(track_id, path, half, look), float(np.hypot(*half[:2])) + path.radius
    if name == 'cylinder':
        radius, lying = rng.uniform(0.2, 0.42), bool(rng.random() < 0.25)
        half = rng.uniform(0.35, 0.5) if lying else rng.uniform(0.3, 0.85)
        look = random_look(
            rng, [tx.PLAIN, tx.BANDS, tx.STRIPES, tx.CHECKER], (1, 3), gloss=rng.uniform(0, 0.3)
        )
        return Cylinder(track_id, path, radius, half, lying, look), max(radius, half * lying) + path.radius
    walking = path.radius > 0 or (not moving and rng.random() < 0.55)
    swing = rng.uniform(0.35, 0.6) if walking else 0.0
    person = Person(track_id, path, random_body(rng), swing, rng.uniform(0, 2 * np.pi), people.stand(rng))
    return person, 0.4 + path.radius
