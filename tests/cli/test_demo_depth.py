"""The demo on panoramas; counting and measuring of depth models."""
import re

import cv2
import numpy as np
import pytest
import torch

import mmxf  # noqa: F401
from mmxf.cli.demo import main

CONFIG = 'configs/omnifusion/omnifusion_r18_mini.py'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    from mmxf.apis.init_model import build_model, open_config

    path = tmp_path_factory.mktemp('weights') / 'mini.pth'
    state = build_model(open_config(CONFIG), seed=0).state_dict()
    state['backbone.decoder.depth.bias'] += 2       # untrained weights would give depth 0: nothing to draw
    torch.save(dict(state_dict=state), path)
    return path


def picture(path, size=(64, 128), dtype=np.uint8):
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (*size, 3), dtype))
    return path


def run(path, checkpoint, tmp_path, *more):
    return main([str(path), CONFIG, str(checkpoint), '--out-dir', str(tmp_path / 'out'), '--device', 'cpu', *more])


def test_a_panorama_becomes_depth_a_picture_and_points(checkpoint, tmp_path):
    assert run(picture(tmp_path / 'hall.png', (96, 192)), checkpoint, tmp_path) == 0
    depth = cv2.imread(str(tmp_path / 'out/hall_depth.png'), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and depth.shape == (64, 128)
    colors = cv2.imread(str(tmp_path / 'out/hall_depth_colors.png'))
    assert colors.shape[0] == 256 and colors.shape[1] > 512
    assert 1000 < np.median(depth) < 3000, 'millimetres'
    head, points = (tmp_path / 'out/hall.ply').read_bytes().split(b'end_header\n')
    assert (depth > 0).all() and f'element vertex {depth.size}'.encode() in head
    points = np.frombuffer(points, np.dtype([('xyz', '<f4', 3), ('rgb', 'u1', 3)]))
    np.testing.assert_allclose(np.linalg.norm(points['xyz'], axis=1), depth.ravel() / 1000, atol=0.001)
    shown = cv2.resize(cv2.imread(str(tmp_path / 'hall.png')), (128, 64), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(points['rgb'], shown.reshape(-1, 3)[:, ::-1])


def test_errors_against_true_depth(checkpoint, tmp_path):
    picture(tmp_path / 'hall.png')
    cv2.imwrite(str(tmp_path / 'true.png'), np.full((64, 128), 2000, np.uint16))
    more = ('--true-depth', str(tmp_path / 'true.png'), '--depth-scale', '1000')
    assert run(tmp_path / 'hall.png', checkpoint, tmp_path, *more) == 0
    assert cv2.imread(str(tmp_path / 'out/hall_depth_colors.png')).shape[1] > 4 * 128


@pytest.mark.parametrize('make, more, message', [
    (lambda p: picture(p / 'bad.png', (64, 100)), (), r'bad\.png is 100 x 64; .*twice as wide as high'),
    (lambda p: picture(p / 'bad.png', dtype=np.uint16), (), r'bad\.png has 16 bits a channel'),
    (lambda p: (cv2.imwrite(str(p / 'true.png'), np.full((64, 128), 9, np.uint16)), picture(p / 'bad.png'))[1],
     ('--true-depth', 'true.png'), r'true\.png holds whole numbers.*--depth-scale'),
    (lambda p: (cv2.imwrite(str(p / 'true.png'), np.zeros((64, 128), np.uint16)), picture(p / 'bad.png'))[1],
     ('--true-depth', 'true.png', '--depth-scale', '1000'), r'true\.png knows no depth'),
    (lambda p: (cv2.imwrite(str(p / 'true.png'), np.full((60, 128), 9, np.uint16)), picture(p / 'bad.png'))[1],
     ('--true-depth', 'true.png', '--depth-scale', '1'), r'true\.png is 128 x 60, of another shape than .*bad\.png')])
def test_bad_input_is_named(checkpoint, tmp_path, capsys, make, more, message):
    path = make(tmp_path)
    assert run(path, checkpoint, tmp_path, *(str(tmp_path / m) if m.endswith('.png') else m for m in more)) != 0
    shown = capsys.readouterr()
    assert re.search(message, shown.out + shown.err), shown
    assert not (tmp_path / 'out').exists()


def test_depth_models_are_counted_and_measured():
    from mmxf.apis.synthetic import open_at_size, synthetic_batch
    from mmxf.cli._measure import Subject
    from mmxf.cli.get_flops import count_flops

    cfg, shape = open_at_size(CONFIG, None)
    assert shape == (64, 128)
    subject = Subject(dict(config=CONFIG, shape=None, batch=2, device='cpu', dtype='float32'), training=True)
    assert subject.input_shape == [2, 3, 64, 128]
    for mode in ('forward', 'inference', 'train'):
        assert subject.time(mode) > 0
    one, two = (count_flops(subject.model.eval(), synthetic_batch(subject.model, cfg, shape, n))[''] for n in (1, 2))
    # The geometry is the same for all panoramas.
    assert one > 1e7 and 1.9 * one < two <= 2 * one
