"""Classifiers in the demo, in get_flops and in benchmark."""
import json

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import mmxf  # noqa: F401
from mmxf.cli.demo import main
from mmxf.visualization.classes import draw_classes, shortened

CONFIG = 'configs/kat/kat_t_mini.py'
CLASSES = ('person', 'sphere', 'box', 'cylinder')


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A model that finds a sphere everywhere, with known scores."""
    from mmxf.apis.init_model import build_model, open_config

    model = build_model(open_config(CONFIG), seed=0)
    with torch.no_grad():
        model.head.fc.bias.copy_(torch.tensor([0.0, 2.0, 1.0, -1.0]))
        model.head.fc.weight.zero_()
    path = tmp_path_factory.mktemp('weights') / 'mini.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=dict(classes=CLASSES))), path)
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'in/deep').mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ('a.png', 'deep/b.jpg'):
        cv2.imwrite(str(tmp_path / 'in' / name), rng.integers(0, 255, (40, 60, 3), np.uint8))
    return tmp_path / 'in'


def run(path, checkpoint, out, *more):
    return main([str(path), CONFIG, str(checkpoint), '--out-dir', str(out), '--device', 'cpu', *more])


def test_a_folder_becomes_pictures_and_scores(folder, checkpoint, tmp_path, capsys):
    (folder / 'broken.jpg').write_bytes(b'no image')
    out = tmp_path / 'out'
    assert run(folder, checkpoint, out, '--topk', '3', '--batch-size', '2') == 0
    found = json.loads((out / 'classes.json').read_text())
    assert sorted(found) == ['a.png', 'deep/b.jpg']
    wanted = torch.tensor([0.0, 2.0, 1.0, -1.0]).softmax(0).tolist()
    for classes in found.values():
        assert [one['class'] for one in classes] == ['sphere', 'box', 'person']
        assert [one['score'] for one in classes] == pytest.approx([wanted[1], wanted[2], wanted[0]], abs=1e-4)
    with Image.open(out / 'deep/b.png') as picture:
        assert picture.width == 336 and picture.height > 224           # enlarged, and a panel below
    shown = capsys.readouterr()
    assert 'skipped' in shown.err and 'broken.jpg' in shown.out


def test_one_image_in_its_own_folder_is_not_overwritten(folder, checkpoint, capsys):
    before = (folder / 'a.png').read_bytes()
    assert run(folder / 'a.png', checkpoint, folder) == 0
    assert (folder / 'a.png').read_bytes() == before and (folder / 'a_classes.png').is_file()
    assert 'sphere 0.' in capsys.readouterr().out


def test_a_model_without_names_has_numbers():
    from mmxf.apis.init_model import build_model, open_config
    from mmxf.cli._classes import name_classes

    model = build_model(open_config('configs/kat/kat_t_imagenet.py', dict(num_classes=7)))
    name_classes(model)
    assert model.dataset_meta['classes'][6] == 'class 6' and len(model.dataset_meta['classes']) == 7


def test_panel_shows_scores_as_bars():
    picture = draw_classes(np.zeros((300, 400, 3), np.uint8), [('one', 0.75), ('a' * 200, 0.25)])
    assert picture.shape[1] == 400 and not picture[:300].any()
    blue = (picture[300:].astype(int) - (58, 110, 190)).__abs__().sum(-1) < 12
    longest = sorted(blue.sum(1)[blue.sum(1) > 50])
    assert longest[-1] == pytest.approx(3 * longest[0], rel=0.1)
    assert shortened('a' * 200, 12, 80, False).endswith('…')


def test_flops_of_a_classifier(tmp_path):
    from mmxf.cli.get_flops import main as get_flops

    out = tmp_path / 'flops.json'
    assert get_flops(['configs/kat/kat_t_imagenet.py', '--json', str(out)]) == 0
    found = json.loads(out.read_text())
    assert found['parameters'] == 5_718_328 and found['input'] == [1, 3, 224, 224]
    # By hand: patches, 12 x (qkv, attention, projection, two linear layers of four times the channels), the head.
    tokens, c = 197, 192
    macs = 196 * 768 * c + 12 * (tokens * c * 3 * c + 2 * tokens**2 * c + tokens * c * c + 2 * tokens * c * 4 * c) + c * 1000
    assert found['gmacs'] * 1e9 == pytest.approx(macs)


def test_benchmark_of_a_classifier(tmp_path):
    from mmxf.cli.benchmark import main as benchmark

    out = tmp_path / 'numbers.json'
    assert benchmark([CONFIG, '--mode', 'all', '--batch', '2', '--runs', '1', '--no-memory', '--device', 'cpu', '--json',
                      str(out)]) == 0
    rows = json.loads(out.read_text())['rows']
    assert [row['mode'] for row in rows] == ['forward', 'inference', 'train']
    assert all(row['input'] == [2, 3, 64, 64] for row in rows)
