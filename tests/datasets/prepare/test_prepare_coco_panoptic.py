"""COCO panoptic preparation on a generated tree and on the real two images."""

import json
import shutil

import cv2
import numpy as np
import pytest

from mmxf.datasets.prepare.coco_panoptic import prepare
from mmxf.evaluation.panoptic_png import write_panoptic_png


@pytest.fixture
def root(tmp_path):
    base = tmp_path / 'coco'
    (base / 'val2017').mkdir(parents=True)
    (base / 'annotations/panoptic_val2017').mkdir(parents=True)
    content = {
        'images': [],
        'annotations': [],
        'categories': [{'id': k, 'name': str(k), 'isthing': 1} for k in range(133)],
    }
    for k in range(3):
        cv2.imwrite(str(base / f'val2017/{k}.jpg'), np.zeros((4, 4, 3), np.uint8))
        write_panoptic_png(base / f'annotations/panoptic_val2017/{k}.png', np.ones((4, 4), int))
        content['images'].append({'id': k, 'file_name': f'{k}.jpg'})
        content['annotations'].append({'image_id': k, 'file_name': f'{k}.png', 'segments_info': []})
    (base / 'annotations/panoptic_val2017.json').write_text(json.dumps(content))
    return base


def test_complete_tree(root):
    report = prepare(root, ('val',))
    assert not report.missing and not report.made and len(report.ready) == 2
    assert 'instances_val2017.json is absent; only instance AP' in report.notes[0]


def test_archives_within_archives(root, tmp_path):
    """As downloaded: one zip with JSON and a zip of PNGs, and one of images."""
    shutil.make_archive(str(root / 'annotations/panoptic_val2017'), 'zip', root / 'annotations', 'panoptic_val2017')
    shutil.rmtree(root / 'annotations/panoptic_val2017')
    bare = tmp_path / 'bare'
    bare.mkdir()
    shutil.make_archive(str(bare / 'panoptic_annotations_trainval2017'), 'zip', root, 'annotations')
    shutil.make_archive(str(bare / 'val2017'), 'zip', root, 'val2017')
    assert prepare(bare, ('val',), check_only=True).missing
    assert not (bare / 'annotations').exists()
    report = prepare(bare, ('val',))
    assert not report.missing and len(report.made) == 3
    assert (bare / 'annotations/panoptic_val2017/2.png').is_file()
    assert not prepare(bare, ('val',)).made


def test_what_is_absent_is_named(root):
    (root / 'val2017/1.jpg').unlink()
    shutil.rmtree(root / 'annotations/panoptic_val2017')
    report = prepare(root, ('train', 'val'))
    train, pngs, images = report.missing
    assert 'panoptic_train2017.json' in train and 'panoptic_annotations_trainval2017.zip' in train
    assert '3 of 3 PNGs' in pngs and 'annotations/panoptic_val2017.zip inside' in pngs
    assert '1 of 3 images, the first 1.jpg' in images and 'http://images.cocodataset.org/zips/val2017.zip' in images


def test_real_images(real_data):
    report = prepare(real_data / 'coco_panoptic', ('val',), check_only=True)
    assert not report.missing
    assert [line.rpartition(' ')[0].rpartition(' ')[2] for line in report.ready] == ['2', '2']
    assert not [note for note in report.notes if 'categories' in note]
