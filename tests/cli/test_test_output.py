"""What ``test`` leaves behind on two tasks: confusion matrices, pictures and a page of them."""
import html.parser
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import mmxf  # noqa: F401
from mmxf.apis.init_model import build_model, open_config
from mmxf.cli.test import add_confusion, main
from mmxf.config import UserError
from mmxf.visualization.gallery import write_gallery

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def world(tmp_path_factory) -> Path:
    from mmxf.cli.make_miniworld import main as make

    root = tmp_path_factory.mktemp('world')
    assert not make(['--root', str(root), '--train', '1', '--val', '2', '--size', '64', '64', '--workers', '1'])
    return root


@pytest.mark.parametrize('config, unit', [('kmax/kmax_r18_mini.py', 'pixels'), ('kat/kat_detection_mini.py', 'objects')])
def test_confusion_and_gallery(world, tmp_path, config, unit):
    changes = {'data_root': f'{world}/', 'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False}
    torch.save(dict(state_dict=build_model(open_config(str(ROOT / 'configs' / config), changes), seed=0).state_dict()),
               tmp_path / 'w.pth')
    assert main([str(ROOT / 'configs' / config), str(tmp_path / 'w.pth'), '--work-dir', str(tmp_path / 'run'), '--show-dir',
                 str(tmp_path / 'pictures'), '--confusion', str(tmp_path / 'confusion'), '--cfg-options',
                 *(f'{key}={value}' for key, value in changes.items())]) == 0
    for name in (f'confusion_{unit}.png', f'confusion_{unit}.csv', f'confusion_{unit}_classes.csv'):
        assert (tmp_path / 'confusion' / name).is_file()
    lines = (tmp_path / 'confusion' / f'confusion_{unit}.csv').read_text().splitlines()
    counted = sum(int(n) for line in lines[1:] for n in line.split(',')[1:])
    assert counted == 2 * 64 * 64 if unit == 'pixels' else counted > 0
    page = (tmp_path / 'pictures' / 'index.html').read_text()
    links = re.findall(r'<a href="([^"]+)"', page)
    assert len(links) == 2 and all((tmp_path / 'pictures' / link).is_file() for link in links)
    assert page.count('src="data:image/jpeg;base64,') == 2 and 'http' not in page.replace('http-equiv', '')


def test_test_time_augmentation_takes_the_models_checkpoint(world, tmp_path):
    config = str(ROOT / 'configs/kmax/kmax_r18_mini.py')
    changes = {'data_root': f'{world}/', 'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False}
    torch.save(dict(state_dict=build_model(open_config(config, changes), seed=0).state_dict()), tmp_path / 'w.pth')
    assert main([config, str(tmp_path / 'w.pth'), '--work-dir', str(tmp_path / 'run'), '--tta', '--out', str(tmp_path / 'm.json'),
                 '--cfg-options', *(f'{key}={value}' for key, value in changes.items())]) == 0
    assert 'panoptic/PQ' in (tmp_path / 'm.json').read_text()
    log = next((tmp_path / 'run').rglob('*.log')).read_text()
    assert re.search(r'w\.pth: all \d+ keys loaded', log)


def test_a_gallery_with_strange_names_is_whole(tmp_path):
    for name in ('a <b> & "c".png', 'deep/ü#1%.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(cv2.imencode('.png', np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    page = write_gallery(tmp_path, 'a <title>', dict(mIoU=41.25, note='text'))
    found = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag == 'a':
                found.append(dict(attributes)['href'])

    Reader().feed(page.read_text())
    from urllib.parse import unquote

    assert sorted(unquote(link) for link in found) == ['a <b> & "c".png', 'deep/ü#1%.png']
    assert 'a &lt;title&gt;' in page.read_text() and '<b>41.25</b>' in page.read_text()
    assert write_gallery(tmp_path / 'deep', 'x', files=[]) is None


def test_confusion_of_another_task_is_refused():
    with pytest.raises(UserError, match='none of the test_evaluators of x.py is of segmentation or detection'):
        add_confusion([dict(type='PoseLiftingMetric')], 'out', 'x.py')
