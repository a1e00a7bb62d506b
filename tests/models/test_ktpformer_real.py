"""KTPFormer on real recordings: two motion-capture clips (CMU) and a calibrated recording of four cameras (Pose2Sim)."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mmxf  # noqa: F401
from mmxf.apis.init_model import build_model
from mmxf.config import load_config
from mmxf.datasets.human36m import Human36mLifting
from mmxf.datasets.miniworld.motion import place_cameras
from mmxf.structures.cameras import (
    PoseCamera,
    camera_to_world,
    fit_root,
    normalise_screen,
    project,
    quaternion_of,
    screen_to_pixels,
    world_to_camera,
)

CONFIG = Path(__file__).resolve().parents[2] / 'configs/ktpformer/ktpformer_f27_mini.py'
CLIPS = {'Jumping': 'cmu_01_01_h36m17_30fps.npz', 'Walking': 'cmu_11_01_h36m17_30fps.npz'}


def write_clips(folder: Path, root: Path) -> None:
    """The clips in Human3.6M's layout: the first three quarters of each as S1 seen by eight cameras, the rest as S9 by four
    others."""
    rng = np.random.default_rng(0)
    views = {'S1': place_cameras(rng, 8), 'S9': place_cameras(rng, 4)}
    world, seen = {'S1': {}, 'S9': {}}, {'S1': {}, 'S9': {}}
    for action, name in CLIPS.items():
        with np.load(folder / name) as clip:
            poses = clip['xyz_m_yup'][..., [2, 0, 1]]                                   # z up
        poses = poses - np.append(poses[:, 0, :2].mean(0), 0).astype(np.float32)        # in the middle of the cameras
        poses = poses - np.append((poses[:, :1, :2] * 0.7).repeat(17, 1), np.zeros((len(poses), 17, 1), 'f4'), -1)
        cut = len(poses) * 3 // 4
        for subject, part in (('S1', poses[:cut]), ('S9', poses[cut:])):
            world[subject][action] = part
            seen[subject][action] = [screen_to_pixels(project(world_to_camera(part, v.orientation, v.translation), v.intrinsics),
                                                      v.width, v.height).astype('f4') for v in views[subject]]
    np.savez(root / 'data_3d_h36m.npz', positions_3d=world)
    np.savez(root / 'data_2d_h36m_gt.npz', positions_2d=seen)
    (root / 'cameras.json').write_text(json.dumps({subject: [dict(
        name=v.name, width=v.width, height=v.height, **{key: getattr(v, key).astype(float).tolist() for key in (
            'orientation', 'translation', 'focal', 'center', 'radial', 'tangential')}) for v in cameras]
        for subject, cameras in views.items()}))


@pytest.mark.slow
def test_motion_capture_is_lifted_better_than_by_the_mean_pose(real_data, tmp_path):
    """The held-out part is later in the clips and seen by other cameras."""
    from mmengine.runner import Runner

    write_clips(real_data / 'pose3d_seq', tmp_path)
    torch.manual_seed(0)
    iterations = 220
    cfg = load_config(CONFIG, {
        'data_root': str(tmp_path), 'stride': 1, 'work_dir': str(tmp_path / 'work'), 'train_cfg.max_iters': iterations,
        'train_cfg.val_interval': iterations, 'train_cfg.dynamic_intervals': None,
        'default_hooks.checkpoint.interval': iterations,
        'train_dataloader.dataset.subjects': ['S1'], 'val_dataloader.dataset.subjects': ['S9']}, check=False)
    cfg.param_scheduler[1].end = iterations
    Runner.from_cfg(cfg).train()
    log = [json.loads(line) for line in next((tmp_path / 'work').rglob('scalars.json')).read_text().splitlines()]
    found = next(line['pose/MPJPE'] for line in reversed(log) if 'pose/MPJPE' in line)
    common = dict(data_root=str(tmp_path), camera_file='cameras.json', keypoints='gt', test_mode=True)
    train, test = (np.concatenate([v.poses for v in Human36mLifting(subjects=[s], **common).videos]) for s in ('S1', 'S9'))
    mean_pose = 1000 * np.linalg.norm(test - train.mean(0), axis=-1).mean()
    print(f'MPJPE {found:.1f} mm, of the mean pose {mean_pose:.1f} mm')
    assert found < 0.6 * mean_pose


@pytest.fixture
def recording(real_data):
    """Arrays of the recording, and its cameras by name."""
    tomllib = pytest.importorskip('tomllib')        # Python 3.11
    folder = real_data / 'pose3d_seq'
    with np.load(folder / 'pose2sim_balancing_4cam_100f_21j.npz') as file:
        arrays = {key: file[key] for key in file.files}
    calibration = tomllib.loads((folder / 'Pose2Sim_cameras.toml').read_text())
    cameras = {}
    for name, view in calibration.items():
        if name != 'metadata':
            import cv2

            rotation, matrix = cv2.Rodrigues(np.array(view['rotation']))[0], np.array(view['matrix'])
            k1, k2, p1, p2 = view['distortions']
            cameras[name] = PoseCamera(*map(int, view['size']), quaternion_of(rotation.T), -rotation.T @ view['translation'],
                                       matrix[[0, 1], [0, 1]], matrix[:2, 2], np.array([k1, k2, 0]), np.array([p2, p1]), name)
    return arrays, cameras


def test_four_calibrated_cameras(recording):
    arrays, cameras = recording
    assert len(cameras) == 4 and arrays['world_xyz_m'].shape == (100, 21, 3)
    for name, camera in cameras.items():
        seen, there = arrays[f'{name}_uv'], arrays[f'{name}_xyz_m']
        ours = world_to_camera(arrays['world_xyz_m'], camera.orientation, camera.translation)
        np.testing.assert_allclose(ours, there, atol=1e-4)
        back = camera_to_world(there, camera.orientation, camera.translation)
        np.testing.assert_allclose(back, arrays['world_xyz_m'], atol=1e-4)
        pixels = screen_to_pixels(project(there.astype(float), camera.intrinsics), camera.width, camera.height)
        np.testing.assert_allclose(pixels, seen, atol=0.1)
        # Where the person stands follows from the pose and its picture.
        relative = torch.from_numpy(there - there[:, :1]).double()
        points = torch.from_numpy(normalise_screen(seen, camera.width, camera.height)).double()
        root = fit_root(relative, points, torch.from_numpy(camera.intrinsics).double())
        assert np.abs(root.numpy() - there[:, :1]).max() < 0.02


def test_the_recording_goes_through_the_model(recording):
    """21 joints and four views, with a skeleton of its own: every frame comes back."""
    arrays, cameras = recording
    names = arrays['joint_names'].tolist()
    pairs = [(names.index('L' + n[1:]), names.index(n)) for n in names if n.startswith('R') and 'L' + n[1:] in names]
    links = [('Hip', 'Knee'), ('Knee', 'Ankle'), ('Ankle', 'Heel'), ('Ankle', 'BigToe'), ('Ankle', 'SmallToe'),
             ('Shoulder', 'Elbow'), ('Elbow', 'Wrist')]
    edges = [(names.index(s + a), names.index(s + b)) for s in 'LR' for a, b in links]
    edges += [(names.index(a), names.index(b)) for a, b in (
        ('LHip', 'RHip'), ('Neck', 'RHip'), ('Neck', 'LHip'), ('Neck', 'LShoulder'), ('Neck', 'RShoulder'), ('Neck', 'Head'),
        ('Head', 'Nose'))]
    skeleton = dict(joints=names, edges=edges, left_joints=[a for a, _ in pairs], right_joints=[b for _, b in pairs],
                    root_joints=[names.index('LHip'), names.index('RHip')], joint_weights=[1.0] * len(names))
    model = build_model(load_config(CONFIG, {'train_dataloader.dataset.metainfo': skeleton}, check=False)).eval()
    videos = [torch.from_numpy(normalise_screen(arrays[f'{name}_uv'], c.width, c.height)).float() for name, c in cameras.items()]
    with torch.no_grad():
        found = model.test_step(dict(inputs=videos, data_samples=None))
    assert [tuple(sample.pred_keypoints_3d.shape) for sample in found] == [(100, 21, 3)] * 4
    assert all(torch.isfinite(sample.pred_keypoints_3d).all() for sample in found)
