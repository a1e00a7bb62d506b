import numpy as np

from mmxf.datasets.miniworld import people
from mmxf.datasets.miniworld.people import COCO_JOINTS, H36M_JOINTS, joints, stack, stand, stride_speed, walk

BONES = (
    ('left_hip', 'left_knee'),
    ('left_knee', 'left_ankle'),
    ('right_shoulder', 'right_elbow'),
    ('right_elbow', 'right_wrist'),
    ('pelvis', 'spine'),
    ('thorax', 'head_top'),
)


def test_bones_keep_their_lengths_while_walking():
    phase = np.linspace(0, 2 * np.pi, 60)
    clip = joints(walk(phase), 1.75, np.zeros((60, 2)), np.linspace(0, 3, 60))
    for a, b in BONES:
        length = np.linalg.norm(clip[a] - clip[b], axis=-1)
        assert np.ptp(length) < 1e-9 and length[0] > 0.1
    assert stack(clip).shape == (60, 17, 3) and stack(clip, H36M_JOINTS).shape == (60, 17, 3)


def test_clip_equals_single_frames():
    phase = np.linspace(0, 5, 7)
    clip = stack(joints(walk(phase), 1.8, np.ones((7, 2)), 0.3 * phase))
    for t in range(7):
        one = stack(joints(walk(phase[t]), 1.8, np.ones(2), 0.3 * phase[t]))
        assert np.allclose(clip[t], one)


def test_feet_are_on_the_ground_and_do_not_slide():
    swing, rate, height = 0.45, 1.0, 1.75
    time = np.linspace(0, 1, 200)
    speed = stride_speed(height, swing, rate)
    place = np.stack([speed * time, 0 * time], 1)
    clip = joints(walk(2 * np.pi * rate * time, swing), height, place, 0 * time)
    feet = np.stack([clip[f'{n}_{p}'] for n in ('left', 'right') for p in ('heel', 'toe')])
    assert np.allclose(feet[..., 2].min(0), 0.042)
    # While the other foot is well off the ground, a standing foot stays behind and the body moves on.
    single = feet[2:, :, 2].min(0) > 0.1
    slide = np.abs(np.diff(clip['left_ankle'][:, 0]))[single[1:] & single[:-1]] * 199
    assert len(slide) > 20 and slide.mean() < speed / 3


def test_heading_and_sides():
    """Facing +x, the nose points to +x and the left is +y."""
    at = joints(stand(np.random.default_rng(0)) | dict(nod=0.0, twist=0.0, lean=0.0), 1.75, (2.0, 3.0), 0.0)
    assert at['nose'][0] > at['head'][0] + 0.05
    assert at['left_shoulder'][1] > 3.1 and at['right_shoulder'][1] < 2.9
    assert at['left_hip'][1] > at['right_hip'][1]
    assert at['left_toe'][0] > at['left_heel'][0] + 0.1
    assert np.allclose(at['pelvis'][:2], (2, 3))
    assert abs(at['head_top'][2] - 1.75) < 0.12


def test_every_coco_joint_has_a_depth():
    assert set(people.JOINT_DEPTH) == set(COCO_JOINTS) and len(COCO_JOINTS) == 17
    assert all(1 <= a <= 17 and 1 <= b <= 17 for a, b in people.COCO_SKELETON)
