"""Lifting data sets: official chunks, safe reading, what goes wrong; MiniWorld's people."""
import json
from pathlib import Path

import numpy as np
import pytest

import mmxf  # noqa: F401
from mmxf.datasets.human36m import Human36mLifting
from mmxf.datasets.humaneva import HumanEvaLifting
from mmxf.datasets.miniworld.motion import perform, write_people
from mmxf.datasets.mpi_inf_3dhp import MpiInf3dhpLifting
from mmxf.datasets.pose_lifting import window_starts
from mmxf.datasets.pose_metainfo import H36M_OF_32, HUMANEVA_METAINFO, MPI_INF_3DHP_METAINFO, SKELETONS
from mmxf.datasets.safe_npz import NpzError, read_npz
from mmxf.structures.skeleton import Skeleton, mirror
from mmxf.tasks.pose import window_frames

PARITY = Path(__file__).resolve().parents[1] / 'parity' / 'ktpformer'
PIPELINE = [dict(type='mmxf.MirrorPose'), dict(type='mmxf.PackPoseInputs')]


@pytest.fixture(scope='module')
def people(tmp_path_factory):
    root = tmp_path_factory.mktemp('people')
    write_people(root, frames=60, takes=1)
    return root


def test_training_windows_are_the_official_ones():
    numbers = np.load(PARITY / 'functions.npz')
    for length in (10, 27, 28, 81, 100):
        frames = np.stack([np.arange(start, start + 27).clip(0, length - 1) for start in window_starts(length, 27)])
        official = numbers[f'chunks/{length}']
        np.testing.assert_array_equal(np.concatenate([frames, frames]), official)       # the second half is mirrored
        np.testing.assert_array_equal(np.sign(numbers[f'chunks_x/{length}'][len(frames):]), -1)


def test_test_windows_cover_every_frame():
    for length in (1, 5, 27, 28, 54, 100):
        frames = window_frames(length, 27).numpy()
        assert sorted(set(frames.reshape(-1))) == list(range(length))
        assert frames.shape == (-(-length // 27), 27)
        if length > 27:
            np.testing.assert_array_equal(frames[-1], np.arange(length - 27, length))


def test_people_are_read_as_human36m(people):
    train = Human36mLifting(data_root=str(people), camera_file='cameras.json', keypoints='gt', num_frames=27, mirror=True,
                            pipeline=PIPELINE)
    assert len(train) == 2 * 5 * 3 * 4 * 3      # mirrored, subjects, actions, cameras, windows of 60 frames
    plain, mirrored = train[0], train[len(train) // 2]
    order = train.skeleton.mirror_order()
    np.testing.assert_allclose(mirrored['inputs'].numpy(), mirror(plain['inputs'].numpy(), order))
    pose = plain['data_samples'].gt_keypoints_3d.numpy()
    assert pose.shape == (27, 17, 3) and (pose[:, 0] == 0).all()
    assert 0.6 < np.linalg.norm(pose[:, 3], axis=-1).mean() < 1.1       # a leg, in metres
    test = Human36mLifting(data_root=str(people), camera_file='cameras.json', keypoints='gt', test_mode=True, pipeline=PIPELINE)
    sample = test[0]
    assert sample['inputs'].shape == (60, 17, 2) and sample['data_samples'].subject == 'S9'
    assert sample['inputs'].abs().max() < 1, 'people leave the picture'


def test_people_with_the_joints_of_coco(people):
    from mmxf.datasets.human36m import CocoLifting

    common = dict(data_root=str(people), camera_file='cameras.json', keypoints='gt', test_mode=True)
    coco, h36m = CocoLifting(**common), Human36mLifting(**common)
    assert coco.skeleton.joints[0] == 'nose' and coco.skeleton.root_joints == (11, 12)
    for a, b in zip(coco.videos, h36m.videos):
        for name in ('left_wrist', 'right_ankle'):      # the same people
            i, j = coco.skeleton.joints.index(name), h36m.skeleton.joints.index(name)
            np.testing.assert_allclose(a.points[:, i], b.points[:, j], atol=1e-6)
            np.testing.assert_allclose((a.poses + a.root)[:, i], (b.poses + b.root)[:, j], atol=1e-5)
        np.testing.assert_allclose(a.poses[:, 11] + a.poses[:, 12], 0, atol=1e-6)


def test_projection_of_the_pose_is_the_input(people):
    from mmxf.structures.cameras import project

    for keypoints, limit in (('gt', 1e-5), ('detected', 0.2)):
        data = Human36mLifting(data_root=str(people), camera_file='cameras.json', keypoints=keypoints, test_mode=True)
        video = data.videos[3]
        error = np.abs(project(video.poses + video.root, video.intrinsics) - video.points)
        assert np.median(error) < limit
        assert keypoints == 'gt' or error.max() > 1e-3


def test_people_move_smoothly_and_keep_their_bones():
    rng = np.random.default_rng(0)
    for action in ('Walking', 'Turning', 'Waving'):
        poses = perform(rng, action, 1.75, 200)
        bones = np.stack([np.linalg.norm(poses[:, a] - poses[:, b], axis=-1) for a, b in ((1, 2), (2, 3), (11, 12), (12, 13))])
        np.testing.assert_allclose(bones, bones[:, :1].repeat(200, 1), rtol=1e-4)
        assert np.abs(np.diff(poses, axis=0)).max() < 0.12      # metres a fiftieth of a second
        assert poses.std(0).max() > 0.05


def test_humaneva_and_3dhp_read_their_layouts(tmp_path):
    rng = np.random.default_rng(0)
    world = {s: {'Walking 1 chunk0': rng.normal(size=(30, 15, 3)).astype('f4')} for s in ('Train/S1', 'Validate/S1')}
    flat = {s: {a: [rng.uniform(0, 480, (32, 15, 2)).astype('f4') for _ in range(3)] for a in world[s]} for s in world}
    np.savez(tmp_path / 'data_3d_humaneva15.npz', positions_3d=world)
    np.savez(tmp_path / 'data_2d_humaneva15_gt.npz', positions_2d=flat, metadata={})
    data = HumanEvaLifting(data_root=str(tmp_path), subjects=['Validate/S1'], actions=['Walk'], test_mode=True)
    assert len(data) == 3 and data.videos[0].points.shape == (30, 15, 2) and data.videos[0].width == 640
    np.testing.assert_allclose(data.videos[0].points[..., 0], flat['Validate/S1']['Walking 1 chunk0'][0][:30, :, 0] / 320 - 1,
                               atol=1e-6)
    view = dict(data_2d=rng.uniform(0, 2048, (40, 17, 2)), data_3d=1000 * rng.normal(size=(40, 17, 3)))
    np.savez(tmp_path / 'data_train_3dhp.npz', data={'S1 Seq1': [{'0': dict(view), '4': dict(view)}, 25]})
    np.savez(tmp_path / 'data_test_3dhp.npz', data={name: dict(view, valid=np.arange(40) % 2) for name in ('TS1', 'TS5')})
    train = MpiInf3dhpLifting(data_root=str(tmp_path), subjects=['S1'], num_frames=27, pipeline=PIPELINE)
    assert len(train) == 4
    np.testing.assert_allclose(train.videos[0].poses, (view['data_3d'] - view['data_3d'][:, 14:15]) / 1000, atol=1e-5)
    test = MpiInf3dhpLifting(data_root=str(tmp_path), subjects=['TS1', 'TS5'], test_mode=True, pipeline=PIPELINE)
    assert test.videos[1].width == 1920 and test[0]['data_samples'].gt_valid.sum() == 20
    with pytest.raises(NpzError, match='none of TS2'):
        MpiInf3dhpLifting(data_root=str(tmp_path), subjects=['TS2'], test_mode=True)


def test_human36m_takes_17_of_32_joints(tmp_path):
    world = np.arange(40 * 32 * 3, dtype='f4').reshape(40, 32, 3) / 1000
    np.savez(tmp_path / 'data_3d_h36m.npz', positions_3d={'S9': {'Walking': world}})
    np.savez(tmp_path / 'data_2d_h36m_gt.npz', positions_2d={'S9': {'Walking': [np.ones((41, 17, 2), 'f4')] * 4}})
    data = Human36mLifting(data_root=str(tmp_path), subjects=['S9'], keypoints='gt', test_mode=True)
    lengths = np.linalg.norm(data.videos[0].poses, axis=-1)
    chosen = world[:, list(H36M_OF_32)]
    np.testing.assert_allclose(lengths, np.linalg.norm(chosen - chosen[:, :1], axis=-1), atol=1e-4)
    assert data.videos[0].camera == '54138969'


class Evil:
    def __reduce__(self):
        return (print, ('code of the file ran',))


def test_a_pickle_that_wants_to_run_code_is_refused(tmp_path, capsys):
    np.savez(tmp_path / 'evil.npz', positions_3d={'S1': Evil()})
    with pytest.raises(NpzError, match=r'evil\.npz: positions_3d.*builtins\.print.*not read'):
        read_npz(tmp_path / 'evil.npz')
    assert not capsys.readouterr().out
    nested = {'a': {'b': [np.arange(3), np.float32(2), 'text', (1, None)]}}
    np.savez(tmp_path / 'good.npz', data=nested, plain=np.eye(2, dtype='f4'))
    found = read_npz(tmp_path / 'good.npz')
    np.testing.assert_array_equal(found['data']['a']['b'][0], [0, 1, 2])
    assert found['data']['a']['b'][1:] == [2, 'text', (1, None)] and found['plain'].dtype == np.float32


def test_what_is_wrong_is_named(people, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'data_3d_h36m\.npz.*mmxf prepare-data h36m'):
        Human36mLifting(data_root=str(tmp_path))
    with pytest.raises(NpzError, match='not S99'):
        Human36mLifting(data_root=str(people), camera_file='cameras.json', keypoints='gt', subjects=['S99'])
    with pytest.raises(ValueError, match='begins with Eating'):
        Human36mLifting(data_root=str(people), camera_file='cameras.json', keypoints='gt', actions=['Eating'])
    (tmp_path / 'cut.npz').write_bytes((people / 'data_3d_h36m.npz').read_bytes()[:5000])
    with pytest.raises(NpzError, match=r'cut\.npz.*get it again'):
        read_npz(tmp_path / 'cut.npz')
    cameras = json.loads((people / 'cameras.json').read_text())
    del cameras['S9'][1]['orientation']
    (tmp_path / 'cameras.json').write_text(json.dumps(cameras))
    for name in ('data_3d_h36m.npz', 'data_2d_h36m_gt.npz'):
        (tmp_path / name).write_bytes((people / name).read_bytes())
    with pytest.raises(NpzError, match='camera 1 of subject S9'):
        Human36mLifting(data_root=str(tmp_path), camera_file='cameras.json', keypoints='gt')


@pytest.mark.parametrize('wrong, message', [
    (dict(points=np.ones((20, 15, 2))), r'data_2d_h36m_gt\.npz: S9, Walking, camera 54138969: 2-D keypoints are \(20, 15, 2\), '
                                        r'expected \(frames, 17, 2\)'),
    (dict(points=np.where(np.arange(20)[:, None, None] == 7, np.nan, np.ones((20, 17, 2)))),
     r'data_2d_h36m_gt\.npz: S9, Walking, camera 54138969: 2-D keypoints of frame 7 are not finite'),
    (dict(world=np.ones((20, 15, 3))), r'data_3d_h36m\.npz: .*3-D joints are \(20, 15, 3\), expected \(20, 17, 3\)'),
    (dict(world=np.where(np.arange(20)[:, None, None] == 3, np.nan, np.ones((20, 17, 3)))),
     r'data_3d_h36m\.npz: .*3-D joints of frame 3 are not finite'),
    (dict(cameras=3), r'data_2d_h36m_gt\.npz: subject S9, Walking: keypoints of 3 cameras, but 4 cameras are known'),
    (dict(points=np.ones((12, 17, 2))), r'data_2d_h36m_gt\.npz: .*12 frames of keypoints for 20 of positions')])
def test_files_that_do_not_fit_are_named(tmp_path, wrong, message):
    world, points = wrong.get('world', np.ones((20, 17, 3))), wrong.get('points', np.ones((20, 17, 2)))
    np.savez(tmp_path / 'data_3d_h36m.npz', positions_3d={'S9': {'Walking': world}})
    np.savez(tmp_path / 'data_2d_h36m_gt.npz', positions_2d={'S9': {'Walking': [points] * wrong.get('cameras', 4)}})
    with pytest.raises(ValueError, match=message):
        Human36mLifting(data_root=str(tmp_path), subjects=['S9'], keypoints='gt', test_mode=True)


def test_prepare_data_names_what_is_missing(people, tmp_path, capsys):
    from mmxf.cli.prepare_data import main

    assert main(['h36m', '--root', str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert all(name in shown for name in ('data_3d_h36m.npz', 'data_2d_h36m_gt.npz', 'data_2d_h36m_cpn_ft_h36m_dbb.npz'))
    for name in ('data_3d_h36m.npz', 'data_2d_h36m_gt.npz'):
        (tmp_path / name).write_bytes((people / name).read_bytes())
    (tmp_path / 'data_2d_h36m_cpn_ft_h36m_dbb.npz').write_bytes((people / 'data_2d_h36m_detected.npz').read_bytes())
    assert main(['h36m', '--root', str(tmp_path)]) == 0


@pytest.mark.parametrize('name', SKELETONS)
def test_skeletons_are_consistent(name):
    skeleton = Skeleton.from_metainfo(SKELETONS[name])
    adjacency = skeleton.adjacency()
    assert (adjacency.diagonal() == 1).all()
    np.testing.assert_allclose(adjacency.sum(1), 2)         # itself, and its neighbours together
    for left, right in zip(skeleton.left_joints, skeleton.right_joints):
        assert skeleton.joints[left].removeprefix('left_') == skeleton.joints[right].removeprefix('right_')
    order = skeleton.mirror_order()
    assert {tuple(sorted((order[a], order[b]))) for a, b in skeleton.edges} == {tuple(sorted(e)) for e in skeleton.edges}
    reached = {0}
    for _ in skeleton.joints:
        reached |= {b for edge in skeleton.edges for b in edge if reached & set(edge)}
    assert len(reached) == len(skeleton)


def test_a_wrong_skeleton_is_named():
    with pytest.raises(ValueError, match='lacks edges'):
        Skeleton.from_metainfo(dict(HUMANEVA_METAINFO, edges=None))
    with pytest.raises(ValueError, match='15 joints.*joint 16'):
        Skeleton.from_metainfo(dict(HUMANEVA_METAINFO, edges=MPI_INF_3DHP_METAINFO['edges']))
