"""Moving people as 3-D joints, seen by calibrated cameras: data for lifting poses, in VideoPose3D's layout.

Joint angles are smooth curves (a walk's own, or sums of a few slow sines), so that motion has the inertia which a temporal
model can
learn from. The files are those that `Human36mLifting` reads: ``data_3d_h36m.npz``, ``data_2d_h36m_gt.npz`` (exact projections),
``data_2d_h36m_detected.npz`` (with a detector's noise), and ``cameras.json``; the same with COCO's 17 joints for `CocoLifting`.
And two people for a demo: ``example_keypoints.npz``.
"""
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmxf.structures.cameras import PoseCamera, project, quaternion_of, screen_to_pixels, world_to_camera

from .people import COCO_JOINTS, H36M_JOINTS, joints, stack, stride_speed, walk

FPS = 50
SUBJECTS = ('S1', 'S5', 'S6', 'S7', 'S8', 'S9', 'S11')    # as in Human3.6M: the last two are for tests
ACTIONS = ('Walking', 'Turning', 'Waving')
# Joints and mirror pairs (left, right) of each layout that is written.
LAYOUTS = {'h36m': (H36M_JOINTS, [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]),
           'coco': (COCO_JOINTS, [list(range(1, 17, 2)), list(range(2, 17, 2))])}
# Of the example, 50 a second are too many for a demo.
_EXAMPLE_STEP = 4


def slow_curve(rng: np.random.Generator, time: np.ndarray, low: float, high: float, rate: float = 0.4) -> np.ndarray:
    """(T,) a smooth curve from `low` to `high`: three sines of about `rate` cycles a second."""
    frequency, phase = rate * rng.uniform(0.4, 1.6, 3), rng.uniform(0, 2 * np.pi, 3)
    share = rng.dirichlet((2, 2, 2))
    wave = (share[:, None] * np.sin(2 * np.pi * frequency[:, None] * time + phase[:, None])).sum(0)
    return low + (high - low) * (1 + wave) / 2


def perform(rng: np.random.Generator, action: str, height: float, frames: int) -> np.ndarray:
    """(frames, 17, 3) world positions of Human3.6M's joints, metres, z up: a person of this height walking, turning or waving.

    Raises:
        ValueError: for an unknown action.
    """
    return stack(move(rng, action, height, frames), H36M_JOINTS).astype(np.float32)


def move(rng: np.random.Generator, action: str, height: float, frames: int) -> dict[str, np.ndarray]:
    """As `perform`, all joints (frames, 3) by name.

    Raises:
        ValueError: for an unknown action.
    """
    time = np.arange(frames) / FPS
    if action == 'Walking':
        swing, frequency = rng.uniform(0.3, 0.6), rng.uniform(0.7, 1.1)
        speed = stride_speed(height, swing, frequency)
        # Round a circle of about 1.2 m, so that everybody stays in sight.
        turn = rng.choice([-1, 1]) * speed / rng.uniform(0.9, 1.6)
        heading = rng.uniform(0, 2 * np.pi) + turn * time + slow_curve(rng, time, -0.3, 0.3)
        pose = walk(2 * np.pi * frequency * time + rng.uniform(0, 2 * np.pi), swing)
        step = speed / FPS * np.stack([np.cos(heading), np.sin(heading)], -1)
        position = np.cumsum(step, 0)
        position += rng.uniform(-0.3, 0.3, 2) - position.mean(0)
    elif action in ('Turning', 'Waving'):
        turning = action == 'Turning'
        heading = slow_curve(rng, time, -3.5, 3.5, 0.15) if turning else slow_curve(rng, time, -0.4, 0.4)
        heading = heading + rng.uniform(0, 2 * np.pi)
        position = np.stack([slow_curve(rng, time, -0.5, 0.5, 0.2) for _ in range(2)], -1)
        pose = dict(lean=slow_curve(rng, time, -0.05, 0.25), twist=slow_curve(rng, time, -0.4, 0.4),
                    nod=slow_curve(rng, time, -0.3, 0.3))
        for side in 'lr':
            bend = slow_curve(rng, time, 0.0, 0.5)
            pose[f'hip_{side}'], pose[f'knee_{side}'] = 0.5 * bend + slow_curve(rng, time, -0.1, 0.2), bend
            pose[f'spread_{side}'] = slow_curve(rng, time, 0.02, 0.2)
            raised = not turning and rng.random() < 0.7
            pose[f'shoulder_{side}'] = slow_curve(rng, time, *((-0.2, 1.6) if raised else (-0.3, 0.5)))
            pose[f'lift_{side}'] = slow_curve(rng, time, *((0.8, 2.2) if raised else (0.1, 0.5)))
            pose[f'elbow_{side}'] = slow_curve(rng, time, 0.2, 1.9, 1.0) if raised else slow_curve(rng, time, 0.1, 0.9)
    else:
        raise ValueError(f'people know {", ".join(ACTIONS)}, not {action!r}')
    return joints(pose, height, position, heading)


def place_cameras(rng: np.random.Generator, count: int = 4, width: int = 1000, height: int = 1000) -> list[PoseCamera]:
    """Cameras around the scene, at a person's height, looking at it."""
    cameras = []
    for i in range(count):
        angle = 2 * np.pi * (i + rng.uniform(-0.25, 0.25)) / count
        place = np.array([*(rng.uniform(4.2, 5.5) * np.array([np.cos(angle), np.sin(angle)])), rng.uniform(1.0, 2.0)])
        forward = np.array([0, 0, 0.9]) + rng.uniform(-0.15, 0.15, 3) - place
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 0, 1])
        right /= np.linalg.norm(right)
        axes = np.stack([right, np.cross(forward, right), forward])     # world to camera
        focal = rng.uniform(1.05, 1.25) * width
        cameras.append(PoseCamera(width, height, quaternion_of(axes.T).astype(np.float32), place.astype(np.float32),
                                  np.full(2, focal, np.float32), np.array([width, height], np.float32) / 2
                                  + rng.uniform(-15, 15, 2).astype(np.float32),
                                  np.array([*rng.uniform(-0.05, 0.05, 2), 0], np.float32), name=f'{i}'))
    return cameras


def detector_noise(rng: np.random.Generator, points: np.ndarray, std: float = 5.0) -> np.ndarray:
    """Points (T, K, 2) in pixels as a detector might see them: noise that lasts some frames, and rare gross errors."""
    noise = rng.normal(0, std, points.shape)
    for i in range(1, len(noise)):                     # errors of a detector drift rather than flicker
        noise[i] = 0.8 * noise[i - 1] + 0.6 * noise[i]
    gross = rng.random(points.shape[:2]) < 0.01
    return (points + noise + gross[..., None] * rng.normal(0, 8 * std, points.shape)).astype(np.float32)


def write_people(root, frames: int = 400, takes: int = 2, seed: int = 0,
                 progress: Callable[[int, int], None] = lambda done, total: None) -> list[Path]:
    """Writes the files; the same arguments write the same poses.

    Args:
        root: folder, made where it is absent.
        frames: of each take, 50 a second.
        takes: of each action and subject.
        seed: another one makes other people.
        progress: called with the number of takes that are done, and of all.

    Raises:
        ValueError: for numbers below 1.
    """
    if frames < 1 or takes < 1:
        raise ValueError(f'frames and takes must be at least 1, got {frames} and {takes}')
    from mmxf.engine.atomic_files import write_atomically

    world, exact, seen = ({layout: {} for layout in LAYOUTS} for _ in range(3))
    cameras = {}
    for s, subject in enumerate(SUBJECTS):
        rng = np.random.default_rng([seed, s])
        height, views = rng.uniform(1.55, 1.9), place_cameras(rng)
        cameras[subject] = [dict(name=v.name, width=v.width, height=v.height,
                                 **{key: getattr(v, key).astype(float).tolist() for key in (
                                     'orientation', 'translation', 'focal', 'center', 'radial', 'tangential')}) for v in views]
        coco_rng = np.random.default_rng([seed, s, 1])
        for layout in LAYOUTS:
            world[layout][subject], exact[layout][subject], seen[layout][subject] = {}, {}, {}
        for a, action in enumerate(ACTIONS):
            for take in range(takes):
                name = action if take == 0 else f'{action} {take}'
                moving = move(rng, action, height, frames)
                for layout, (names, _) in LAYOUTS.items():
                    poses = stack(moving, names).astype(np.float32)
                    points = [_project(poses, view) for view in views]
                    noise = rng if layout == 'h36m' else coco_rng
                    world[layout][subject][name], exact[layout][subject][name] = poses, points
                    seen[layout][subject][name] = [detector_noise(noise, p) for p in points]
                progress((s * len(ACTIONS) + a) * takes + take + 1, len(SUBJECTS) * len(ACTIONS) * takes)
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    contents = {}
    for layout, (_, symmetry) in LAYOUTS.items():
        metadata = dict(layout_name=layout, num_joints=17, keypoints_symmetry=symmetry)
        contents[f'data_3d_{layout}.npz'] = _npz(positions_3d=world[layout])
        contents[f'data_2d_{layout}_gt.npz'] = _npz(positions_2d=exact[layout], metadata=metadata)
        contents[f'data_2d_{layout}_detected.npz'] = _npz(positions_2d=seen[layout], metadata=metadata)
    example = np.stack([exact['h36m'][subject][action][0][::_EXAMPLE_STEP] for subject, action in (
        (SUBJECTS[-2], ACTIONS[0]), (SUBJECTS[-1], ACTIONS[-1]))])
    contents['example_keypoints.npz'] = _npz(keypoints=example, width=1000, height=1000, fps=FPS / _EXAMPLE_STEP)
    contents['cameras.json'] = json.dumps(cameras, indent=1).encode()
    for name, content in contents.items():
        write_atomically(root / name, content)
    return [root / name for name in contents]


def _project(world: np.ndarray, camera: PoseCamera) -> np.ndarray:
    """(T, K, 2) float32 pixels."""
    points = project(world_to_camera(world, camera.orientation, camera.translation), camera.intrinsics)
    return screen_to_pixels(points, camera.width, camera.height).astype(np.float32)


def _npz(**arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()
