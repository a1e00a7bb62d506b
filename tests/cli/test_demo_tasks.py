"""The demo on other tasks than panoptic segmentation: batches, images per second, pictures."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import mmxf  # noqa: F401
from mmxf.apis.init_model import build_model, open_config
from mmxf.cli.demo import main
from mmxf.visualization import read_rgb

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize('config', ['kat/kat_t_mini.py', 'kat/kat_segmentation_mini.py', 'kat/kat_detection_mini.py'])
def test_a_folder_in_batches(tmp_path, capsys, config):
    source = tmp_path / 'in'
    source.mkdir()
    rng = np.random.default_rng(0)
    for i, (height, width) in enumerate([(64, 64), (64, 64), (80, 96)]):
        cv2.imwrite(str(source / f'{i}.png'), rng.integers(0, 255, (height, width, 3), dtype=np.uint8))
    (source / 'bad.png').write_bytes(b'nothing')
    path = tmp_path / 'weights.pth'
    torch.save(dict(state_dict=build_model(open_config(str(ROOT / 'configs' / config)), seed=0).state_dict()), path)
    words = [str(source), str(ROOT / 'configs' / config), str(path), '--out-dir', str(tmp_path / 'out'), '--device', 'cpu',
             '--batch-size', '2', '--score', '0']
    assert main(words) == 0
    said = capsys.readouterr()
    assert '3 pictures in' in said.out and 'images/s (the model alone' in said.out and 'bad.png' in said.err
    for i in range(3):
        picture = read_rgb(tmp_path / 'out' / f'{i}.png')
        original = read_rgb(source / f'{i}.png')
        assert picture.shape != original.shape or (picture != original).any()
