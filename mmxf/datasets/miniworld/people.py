"""Articulated people: joint angles -> joints -> capsules.

A pose is a dict of angles in radians, each a number or an array (T,) for a clip: ``hip``, ``spread``,
``knee``, ``shoulder``, ``lift``, ``elbow`` with ``_l`` / ``_r`` (flexion forwards positive, spread and lift
sideways), and ``lean``, ``twist``, ``nod``. Every function works on (..., 3) so that one call serves a frame
or a clip.
"""

from dataclasses import dataclass

import numpy as np

from .primitives import Primitives, capsules

COCO_JOINTS = (
    'nose',
    'left_eye',
    'right_eye',
    'left_ear',
    'right_ear',
    'left_shoulder',
    'right_shoulder',
    'left_elbow',
    'right_elbow',
    'left_wrist',
    'right_wrist',
    'left_hip',
    'right_hip',
    'left_knee',
    'right_knee',
    'left_ankle',
    'right_ankle',
)
COCO_SKELETON = (
    (16, 14),
    (14, 12),
    (17, 15),
    (15, 13),
    (12, 13),
    (6, 12),
    (7, 13),
    (6, 7),
    (6, 8),
    (7, 9),
    (8, 10),
    (9, 11),
    (2, 3),
    (1, 2),
    (1, 3),
    (2, 4),
    (3, 5),
    (4, 6),
    (5, 7),
)
H36M_JOINTS = (
    'pelvis',
    'right_hip',
    'right_knee',
    'right_ankle',
    'left_hip',
    'left_knee',
    'left_ankle',
    'spine',
    'thorax',
    'neck',
    'head_top',
    'left_shoulder',
    'left_elbow',
    'left_wrist',
    'right_shoulder',
    'right_elbow',
    'right_wrist',
)
# How far a joint may lie under the skin, metres at body height 1.75: a joint is seen when no more covers it.
JOINT_DEPTH = dict(
    nose=0.03,
    left_eye=0.03,
    right_eye=0.03,
    left_ear=0.05,
    right_ear=0.05,
    left_shoulder=0.12,
    right_shoulder=0.12,
    left_elbow=0.08,
    right_elbow=0.08,
    left_wrist=0.08,
    right_wrist=0.08,
    left_hip=0.16,
    right_hip=0.16,
    left_knee=0.12,
    right_knee=0.12,
    left_ankle=0.10,
    right_ankle=0.10,
)
THIGH, SHIN, UPPER_ARM, FOREARM = 0.43, 0.41, 0.29, 0.26  # metres at body height 1.75


@dataclass(frozen=True)
class Body:
    """Proportions and clothes of one person.

    Args:
        height: metres. build: 0.85 (slim) .. 1.25 (stout), scales limb radii.
        skin, hair, shirt, shirt_b, trousers, shoes: linear RGB (3,).
        short_sleeves, shorts: bare forearms, bare shins. shirt_pattern: see textures.
    """

    height: float
    build: float
    skin: np.ndarray
    hair: np.ndarray
    shirt: np.ndarray
    shirt_b: np.ndarray
    trousers: np.ndarray
    shoes: np.ndarray
    short_sleeves: bool = True
    shorts: bool = False
    shirt_pattern: int = 0

    @property
    def scale(self) -> float:
        return self.height / 1.75


def walk(phase, swing: float = 0.5) -> dict:
    """Pose of a walker at a phase in radians (one cycle, two steps, is 2 pi); ``swing`` is the hip's
    amplitude."""
    phase = np.asarray(phase, float)
    pose = dict(lean=0.06, twist=0.1 * np.sin(phase), nod=0.0)
    for side, shift in (('l', 0.0), ('r', np.pi)):
        a = phase + shift
        forward = 0.5 * (1 + np.cos(a))  # 1 in mid swing, when the leg moves forwards
        pose[f'hip_{side}'] = swing * np.sin(a) + 0.10 * forward
        pose[f'knee_{side}'] = 0.10 + (0.5 + 0.9 * swing) * forward**2
        pose[f'shoulder_{side}'] = -0.9 * swing * np.sin(a)
        pose[f'elbow_{side}'] = 0.35 + 0.25 * (1 - np.sin(a)) / 2
        pose[f'spread_{side}'], pose[f'lift_{side}'] = 0.03, 0.12
    return pose


def stride_speed(height: float, swing: float, frequency: float) -> float:
    """Metres a second at which a walker's standing foot hardly slides, ``frequency`` in cycles a second.

    Two steps a cycle between the extremes of the hips would give a factor of 4; the hips swing as sines, so
    the leg under the body, the one that stands, is faster than that.
    """
    return 5 * frequency * (THIGH + SHIN) * height / 1.75 * float(np.sin(swing))


def stand(rng: np.random.Generator) -> dict:
    """A relaxed, random standing pose: arms hanging, akimbo, waving, raised or reaching."""
    pose = dict(lean=rng.uniform(-0.03, 0.08), twist=rng.uniform(-0.2, 0.2), nod=rng.uniform(-0.2, 0.2))
    for side in 'lr':
        pose[f'hip_{side}'] = rng.uniform(-0.05, 0.12)
        pose[f'knee_{side}'] = pose[f'hip_{side}'] + rng.uniform(0.0, 0.1)
        pose[f'spread_{side}'] = rng.uniform(0.03, 0.18)
        arm = rng.choice(['hang', 'akimbo', 'wave', 'reach', 'up'], p=[0.5, 0.15, 0.15, 0.12, 0.08])
        flex, lift, elbow = dict(
            hang=(0.05, 0.14, 0.25),
            akimbo=(-0.45, 0.65, 1.5),
            wave=(0.3, 1.75, 1.5),
            reach=(1.3, 0.15, 0.3),
            up=(2.7, 0.25, 0.2),
        )[str(arm)]
        jitter = rng.uniform(-0.12, 0.12, 3)
        pose[f'shoulder_{side}'] = flex + jitter[0]
        pose[f'lift_{side}'] = lift + abs(jitter[1])
        pose[f'elbow_{side}'] = elbow + abs(jitter[2])
    return pose


def _turn(x, y, angle):
    """Rotate the pair of vectors (..., 3): x towards y by angle (...)."""
    c, s = np.cos(angle)[..., None], np.sin(angle)[..., None]
    return c * x + s * y, c * y - s * x


def joints(pose: dict, height: float, position, heading) -> dict[str, np.ndarray]:
    """Forward kinematics with the lower foot on the ground.

    Args:
        pose: angles, see the module. height: body height in metres.
        position: (..., 2) ground point under the pelvis. heading: (...) radians, 0 = facing +x.

    Returns:
        name -> (..., 3) world points: all of COCO's and Human3.6M's joints, and toes, heels, hands, head.
    """
    s = height / 1.75
    angle = {k: np.asarray(v, float) for k, v in pose.items()}
    heading = np.asarray(heading, float)
    shape = np.broadcast_shapes(heading.shape, *(a.shape for a in angle.values()))
    heading = np.broadcast_to(heading, shape)
    angle = {k: np.broadcast_to(a, shape) for k, a in angle.items()}
    up = np.broadcast_to([0.0, 0.0, 1.0], (*shape, 3))
    front = np.stack([np.cos(heading), np.sin(heading), np.zeros(shape)], -1)
    left = np.stack([-np.sin(heading), np.cos(heading), np.zeros(shape)], -1)

    def limb(flex, side_angle, side, ahead, aside, above):
        """Direction of a limb that hangs along -above at zero angles."""
        f, a = flex[..., None], side_angle[..., None]
        return np.sin(f) * np.cos(a) * ahead + side * np.sin(a) * aside - np.cos(f) * np.cos(a) * above

    j = {'pelvis': np.zeros((*shape, 3))}
    spine_up, spine_front = _turn(up, front, angle['lean'])
    # A turn of the shoulders about the spine takes the front towards the left.
    chest_front, chest_left = _turn(spine_front, left, angle['twist'])
    j['spine'] = 0.22 * s * spine_up
    j['thorax'] = 0.46 * s * spine_up
    head_up, head_front = _turn(spine_up, chest_front, angle['nod'])
    j['neck'] = j['thorax'] + 0.09 * s * head_up
    j['head'] = j['thorax'] + 0.215 * s * head_up + 0.015 * s * head_front
    j['head_top'] = j['head'] + 0.125 * s * head_up
    j['nose'] = j['head'] + s * (0.105 * head_front - 0.012 * head_up)
    for name, side in (('left', 1.0), ('right', -1.0)):
        k = name[0]
        j[f'{name}_eye'] = j['head'] + s * (0.085 * head_front + side * 0.034 * chest_left + 0.025 * head_up)
        j[f'{name}_ear'] = j['head'] + s * (side * 0.088 * chest_left)
        hip = side * 0.095 * s * left
        flex, spread, knee = angle[f'hip_{k}'], angle[f'spread_{k}'], angle[f'knee_{k}']
        shin = limb(flex - knee, spread, side, front, left, up)
        toe = limb(
            np.clip(0.6 * (flex - knee), -1.0, 0.15) + np.pi / 2 - 0.04, spread * 0, side, front, left, up
        )
        j[f'{name}_hip'] = hip
        j[f'{name}_knee'] = hip + THIGH * s * limb(flex, spread, side, front, left, up)
        j[f'{name}_ankle'] = j[f'{name}_knee'] + SHIN * s * shin
        j[f'{name}_heel'] = j[f'{name}_ankle'] + s * (0.045 * shin - 0.03 * toe)
        j[f'{name}_toe'] = j[f'{name}_ankle'] + s * (0.05 * shin + 0.15 * toe)
        shoulder = j['thorax'] + s * (side * 0.175 * chest_left - 0.02 * spine_up)
        flex, lift, elbow = angle[f'shoulder_{k}'], angle[f'lift_{k}'], angle[f'elbow_{k}']
        # Above shoulder height the forearm folds upwards and inwards, below it folds forwards.
        upper = limb(flex, lift, side, chest_front, chest_left, spine_up)
        bend = limb(flex + np.pi / 2, lift * 0, side, chest_front, chest_left, spine_up)
        inward = -side * chest_left * np.cos(lift)[..., None] + spine_up * np.sin(lift)[..., None]
        out = np.clip((np.abs(lift) - 0.4) / 0.4, 0, 1)[..., None]
        bend = (1 - out) * bend + out * inward
        bend = bend - (bend * upper).sum(-1, keepdims=True) * upper
        bend = bend / np.linalg.norm(bend, axis=-1, keepdims=True)
        fore, _ = _turn(upper, bend, elbow)
        j[f'{name}_shoulder'] = shoulder
        j[f'{name}_elbow'] = shoulder + UPPER_ARM * s * upper
        j[f'{name}_wrist'] = j[f'{name}_elbow'] + FOREARM * s * fore
        j[f'{name}_hand'] = j[f'{name}_wrist'] + 0.085 * s * fore
    low = np.min([j[f'{n}_{p}'][..., 2] for n in ('left', 'right') for p in ('heel', 'toe')], axis=0)
    base = np.zeros((*shape, 3))
    base[..., :2] = position
    base[..., 2] = 0.042 * s - low  # the soles' radius
    return {name: point + base for name, point in j.items()}


def stack(joint: dict[str, np.ndarray], names=COCO_JOINTS) -> np.ndarray:
    """Joints by name -> (..., K, 3) in the order of ``names``."""
    return np.stack([joint[n] for n in names], axis=-2)


def figure(joint: dict[str, np.ndarray], body: Body, segment: int) -> Primitives:
    """The capsules of one person from single-frame joints (3,); ``segment`` is the panoptic id."""
    s, fat = body.scale, body.scale * body.build
    rows = []

    def add(start, end, radius, colour, pattern=0):
        rows.append((start, end, radius, colour, pattern))

    def between(a, b, f):
        return joint[a] + f * (joint[b] - joint[a])

    sleeve = body.skin if body.short_sleeves else body.shirt
    leg = body.skin if body.shorts else body.trousers
    up = joint['head_top'] - joint['head']
    up = up / np.linalg.norm(up)
    front = joint['nose'] - joint['head']
    front = front / np.linalg.norm(front)
    add(joint['head'] - 0.035 * s * up, joint['head'] + 0.025 * s * up, 0.093 * s, body.skin)
    crown = joint['head'] + s * (0.042 * up - 0.022 * front)
    add(crown, crown - 0.03 * s * front, 0.096 * s, body.hair)
    add(between('thorax', 'neck', 0.2), joint['head'], 0.055 * s, body.skin)
    add(
        joint['nose'] - 0.012 * s * front,
        joint['nose'] - s * (0.014 * front - 0.03 * up),
        0.016 * s,
        body.skin,
    )
    for eye in ('left_eye', 'right_eye'):
        add(joint[eye], joint[eye] + 0.001 * up, 0.013 * s, np.float32([0.01, 0.01, 0.015]))
    chest = between('thorax', 'spine', 0.28)
    across = 0.45 * (joint['left_shoulder'] - joint['right_shoulder'])
    add(chest - 0.55 * across, chest + 0.55 * across, 0.118 * fat, body.shirt, body.shirt_pattern)
    yoke = between('thorax', 'spine', 0.12)
    add(yoke - 0.85 * across, yoke + 0.85 * across, 0.07 * fat, body.shirt, body.shirt_pattern)
    add(joint['spine'] - 0.04 * s * up, chest, 0.128 * fat, body.shirt, body.shirt_pattern)
    add(
        between('left_hip', 'right_hip', 0.2),
        between('right_hip', 'left_hip', 0.2),
        0.122 * fat,
        body.trousers,
    )
    for n in ('left', 'right'):
        add(joint[f'{n}_shoulder'], joint[f'{n}_elbow'], 0.052 * fat, body.shirt, body.shirt_pattern)
        add(joint[f'{n}_elbow'], joint[f'{n}_wrist'], 0.040 * fat, sleeve)
        add(joint[f'{n}_wrist'], joint[f'{n}_hand'], 0.041 * s, body.skin)
        add(joint[f'{n}_hip'], between(f'{n}_hip', f'{n}_knee', 0.5), 0.092 * fat, body.trousers)
        add(between(f'{n}_hip', f'{n}_knee', 0.45), joint[f'{n}_knee'], 0.073 * fat, body.trousers)
        add(joint[f'{n}_knee'], between(f'{n}_knee', f'{n}_ankle', 0.55), 0.060 * fat, leg)
        add(between(f'{n}_knee', f'{n}_ankle', 0.5), joint[f'{n}_ankle'], 0.046 * fat, leg)
        add(joint[f'{n}_heel'], joint[f'{n}_toe'], 0.042 * s, body.shoes)
    start, end, radius, colour, pattern = (np.array(c) for c in zip(*rows))
    return capsules(
        start,
        end,
        radius,
        segment=segment,
        colour_a=colour,
        colour_b=body.shirt_b,
        pattern=pattern,
        scale=7.0 / s,
        gloss=0.03,
    )
