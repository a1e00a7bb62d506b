"""The demo on files of 2-D joints."""
import json

import numpy as np
import pytest
import torch

import mmxf  # noqa: F401
from mmxf.cli.demo import main

CONFIG = 'configs/ktpformer/ktpformer_f27_mini.py'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    from mmxf.apis.init_model import build_model, open_config

    path = tmp_path_factory.mktemp('weights') / 'mini.pth'
    torch.save(dict(state_dict=build_model(open_config(CONFIG), seed=0).state_dict()), path)
    return path


def people(frames=30, count=2, joints=17):
    rng = np.random.default_rng(0)
    return (200 + 100 * rng.random((count, 1, joints, 2)) + 3 * rng.random((count, frames, joints, 2))).astype('f4')


def run(path, checkpoint, tmp_path, *more):
    return main([str(path), CONFIG, str(checkpoint), '--out-dir', str(tmp_path / 'out'), '--device', 'cpu', *more])


def test_npz_of_two_people_becomes_joints_and_a_gif(checkpoint, tmp_path):
    from PIL import Image

    np.savez(tmp_path / 'two.npz', keypoints=people(), width=640, height=480, fps=25)
    assert run(tmp_path / 'two.npz', checkpoint, tmp_path) == 0
    found = np.load(tmp_path / 'out/two_3d.npz')
    assert found['person_0'].shape == found['person_1'].shape == (30, 17, 3)
    assert np.isfinite(found['person_1']).all() and found['joints'][0] == 'pelvis'
    with Image.open(tmp_path / 'out/two_3d.gif') as film:
        assert film.n_frames >= 25 and film.size == (720, 360)


def test_coco_json_with_tracks_becomes_an_mp4(checkpoint, tmp_path):
    flat = people(frames=12)
    annotations = [dict(image_id=t, track_id=p + 7, keypoints=np.c_[flat[p, t], np.full(17, 2)].reshape(-1).tolist())
                   for p in range(2) for t in range(12)]
    path = tmp_path / 'tracks.json'
    path.write_text(json.dumps(dict(images=[dict(id=0, width=640, height=480)], annotations=annotations)))
    assert run(path, checkpoint, tmp_path, '--mp4') == 0
    assert (tmp_path / 'out/tracks_3d.mp4').stat().st_size > 1000
    assert np.load(tmp_path / 'out/tracks_3d.npz')['person_1'].shape == (12, 17, 3)


def test_missing_frames_are_told(checkpoint, tmp_path, capsys):
    flat = people(frames=12, count=1)[0]
    annotations = [dict(image_id=f'{t}.jpg', track_id='runner', keypoints=np.c_[flat[t], np.full(17, 2)].reshape(-1).tolist())
                   for t in range(12) if t not in (4, 5)]
    path = tmp_path / 'run.json'
    path.write_text(json.dumps(annotations))
    assert run(path, checkpoint, tmp_path, '--image-size', '640', '480') == 0
    shown = capsys.readouterr()
    assert "run.json, person 0 (track runner): frames are missing, 2 between images '3.jpg' and '6.jpg'" in shown.err
    found = np.load(tmp_path / 'out/run_3d.npz')
    assert found['frames_0'].tolist() == [0, 1, 2, 3, 6, 7, 8, 9, 10, 11] and found['person_0'].shape == (10, 17, 3)


def test_a_folder_of_files(checkpoint, tmp_path):
    for name in ('a', 'b'):
        (tmp_path / 'files' / name).mkdir(parents=True)
        np.savez(tmp_path / 'files' / name / f'{name}.npz', keypoints=people(frames=5), width=640, height=480)
    assert run(tmp_path / 'files', checkpoint, tmp_path) == 0
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['a_3d.gif', 'a_3d.npz', 'b_3d.gif', 'b_3d.npz']


@pytest.mark.parametrize('name, content, message', [
    ('joints', dict(keypoints=people(joints=15), width=9, height=9), r'joints\.npz, person 0: 15 joints, but the model lifts 17'),
    ('one', dict(keypoints=people(frames=1), width=9, height=9), r'one\.npz, person 0: one frame only.*at least two'),
    ('camera', dict(keypoints=people()), r'camera\.npz does not say how large the image is.*--image-size'),
    ('nan', dict(keypoints=np.where(np.arange(30)[:, None, None] == 4, np.nan, people()), width=9, height=9),
     r'nan\.npz, person 0: 17 joints are NaN.*frame 4, pelvis'),
    ('other', dict(points=people()), r'other\.npz holds points; expected keypoints')])
def test_bad_files_are_named(checkpoint, tmp_path, capsys, name, content, message):
    import re

    np.savez(tmp_path / f'{name}.npz', **content)
    assert run(tmp_path / f'{name}.npz', checkpoint, tmp_path) != 0
    shown = capsys.readouterr()
    assert re.search(message, shown.out + shown.err), shown
    assert not (tmp_path / 'out').exists()


def test_a_joint_that_is_not_annotated_is_named(checkpoint, tmp_path, capsys):
    points = np.concatenate([people(frames=5, count=1)[0], np.full((5, 17, 1), 2)], -1)
    points[3, 13] = 0           # COCO's left knee
    path = tmp_path / 'knee.json'
    path.write_text(json.dumps([dict(image_id=t, keypoints=p.reshape(-1).tolist()) for t, p in enumerate(points)]))
    assert run(path, checkpoint, tmp_path, '--image-size', '640', '480') != 0
    shown = capsys.readouterr()
    message = 'knee.json, person 0: 1 joints are NaN, infinite or not annotated, the first in frame 3, left_knee'
    assert message in shown.out + shown.err


def test_several_people_need_tracks(checkpoint, tmp_path, capsys):
    path = tmp_path / 'crowd.json'
    path.write_text(json.dumps([dict(image_id=0, keypoints=[1.0] * 51)] * 2))
    assert run(path, checkpoint, tmp_path, '--image-size', '640', '480') != 0
    assert 'track_id' in ''.join(capsys.readouterr())
