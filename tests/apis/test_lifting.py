"""Files of 2-D joints: which frame an image is, gaps in a track, and that no window runs across one."""
import json
import warnings

import numpy as np
import pytest

from mmxf.apis.lifting import KeypointSequence, lift, read_keypoints
from mmxf.config import UserError
from mmxf.structures.skeleton import Skeleton
from mmxf.visualization.pose import pose_frames

JOINTS = [f'joint_{i}' for i in range(17)]


def annotation(image, number, **more):
    """Every joint stands at x = number + 1."""
    return dict(image_id=image, keypoints=[number + 1.0, 5.0, 2.0] * 17, **more)


def write(path, annotations, images=()):
    path.write_text(json.dumps(dict(images=list(images), annotations=annotations)))
    return path


def read(path):
    return read_keypoints(path, JOINTS, (640, 480))


@pytest.mark.parametrize('names', [
    ['a/1.jpg', 'a/2.jpg', 'a/9.jpg', 'a/10.jpg'], ['a/01.jpg', 'a/02.jpg', 'a/09.jpg', 'a/10.jpg'], [0, 10, 80, 90],
    [1, 2, 9, 10]])
def test_a_gap_between_images_is_named_and_parts_the_track(tmp_path, names):
    path = write(tmp_path / 'walk.json', [annotation(name, i, track_id=7) for i, name in reversed(list(enumerate(names)))])
    with pytest.warns(UserWarning, match=r'walk\.json, person 0 \(track 7\): frames are missing, 6 between images '
                      f'{names[1]!r} and {names[2]!r}; the 2 stretches are lifted apart'):
        sequence = read(path)
    assert sequence.people[0][:, 0, 0].tolist() == [1, 2, 3, 4]
    assert sequence.frames[0].tolist() == [0, 1, 8, 9]
    assert sequence.stretches() == [(0, slice(0, 2)), (0, slice(2, 4))]


def test_the_numbers_of_frames_count_before_the_images_ids(tmp_path):
    images = [dict(id=id, frame_id=frame) for frame, id in enumerate([50, 7, 31, 2])]
    path = write(tmp_path / 'a.json', [annotation(id, i) for i, id in enumerate([50, 7, 2])], images)
    with pytest.warns(UserWarning, match='1 between images 7 and 2;.*on their own, lifted without motion: 1'):
        sequence = read(path)
    assert sequence.frames[0].tolist() == [0, 1, 3] and sequence.people[0][:, 0, 0].tolist() == [1, 2, 3]


def test_whole_tracks_make_no_noise_and_may_begin_late(tmp_path):
    annotations = [annotation(i, i, track_id=track) for track, start in ((2, 0), (10, 4)) for i in range(start, 9)]
    for ids in (lambda i: i, lambda i: 5 * i, lambda i: f'{i}.png', lambda i: 'abcdefghi'[i]):
        path = write(tmp_path / 'b.json', [dict(a, image_id=ids(a['image_id'])) for a in annotations])
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            sequence = read(path)
        assert [f.tolist() for f in sequence.frames] == [list(range(9)), list(range(4, 9))]
        assert sequence.stretches() == [(0, slice(0, 9)), (1, slice(0, 5))]


def test_scattered_images_are_no_sequence(tmp_path):
    path = write(tmp_path / 'c.json', [annotation(i, i) for i in (139, 285, 632)])
    with pytest.raises(UserError, match=r'c\.json, person 0 \(track 0\): no two of its 3 frames follow one another'):
        read(path)


class Recorder:
    """A model that gives back what it got, with the length of its video as z."""
    training = False

    def eval(self):
        return self

    def train(self, mode):
        return self

    def test_step(self, data):
        import torch
        from mmengine.structures import BaseDataElement

        self.seen = [len(video) for video in data['inputs']]
        return [BaseDataElement(pred_keypoints_3d=torch.cat([v, torch.full_like(v[..., :1], len(v))], -1))
                for v in data['inputs']]


def test_stretches_are_videos_of_their_own():
    people = [np.arange(5.)[:, None, None] + np.zeros((5, 17, 2)), np.zeros((2, 17, 2))]
    sequence = KeypointSequence(people, 100, 100, 25., 'x.json', [np.array([0, 1, 2, 5, 6]), np.array([3, 4])])
    model = Recorder()
    first, second = lift(model, sequence)
    assert model.seen == [3, 2, 2]
    assert first[:, 0, 2].tolist() == [3, 3, 3, 2, 2] and second.shape == (2, 17, 3)
    assert np.all(np.diff(first[:, 0, 0]) > 0)


def test_the_animation_shows_each_frame_with_those_who_are_in_it():
    skeleton = Skeleton.from_metainfo(dict(joints=['hip', 'head'], edges=[(0, 1)], left_joints=[], right_joints=[],
                                           root_joints=[0]))
    points = [np.full((2, 2, 2), 5.) + np.arange(2)[None, :, None] for _ in range(2)]
    poses = [np.arange(12.).reshape(2, 2, 3) / 12 for _ in range(2)]
    pictures = list(pose_frames(points, poses, skeleton, 40, 20, side=40, times=[np.array([0, 1]), np.array([1, 900])]))
    assert len(pictures) == 3
    # Left half: in the middle frame two people stand, before and after one; nobody is drawn where nobody was seen.
    alone = list(pose_frames(points[:1], poses[:1], skeleton, 40, 20, side=40))
    assert np.array_equal(pictures[0][:, :40], alone[0][:, :40])
    assert not np.array_equal(pictures[1], pictures[2])
