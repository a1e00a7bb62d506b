"""A tiny data set in the COCO panoptic format, written on the fly."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest


def write_panoptic(root: Path, samples: list[dict], categories: list[dict]) -> dict:
    """Write images, PNGs and the JSON; returns the arguments that a PanopticDataset needs.

    ``samples``: dicts of ``name``, ``img`` (H, W, 3) BGR, ``ids`` (H, W), ``segments`` (segments_info).
    """
    (root / 'img').mkdir(parents=True, exist_ok=True)
    (root / 'seg').mkdir(exist_ok=True)
    raw = {'images': [], 'annotations': [], 'categories': categories}
    for number, sample in enumerate(samples, start=1):
        ids, name = sample['ids'].astype(np.int64), sample['name']
        cv2.imwrite(str(root / 'img' / f'{name}.png'), sample['img'])
        cv2.imwrite(
            str(root / 'seg' / f'{name}.png'),
            np.stack([ids >> 16, ids >> 8 & 255, ids & 255], -1).astype(np.uint8),
        )
        raw['images'].append(
            {'id': number, 'file_name': f'{name}.png', 'height': ids.shape[0], 'width': ids.shape[1]}
        )
        raw['annotations'].append(
            {'image_id': number, 'file_name': f'{name}.png', 'segments_info': sample['segments']}
        )
    (root / 'ann.json').write_text(json.dumps(raw))
    return {'ann_file': 'ann.json', 'data_root': str(root), 'data_prefix': {'img': 'img', 'seg': 'seg'}}


@pytest.fixture
def panoptic_writer():
    return write_panoptic


@pytest.fixture
def two_images(tmp_path):
    """Arguments of a data set of two 4x6 images; classes cat (thing), dog (thing), grass (stuff)."""
    ids = np.zeros((4, 6), int)
    ids[:, :2], ids[:, 2:4] = 70000, 300
    samples = [
        {
            'name': 'a',
            'img': np.full((4, 6, 3), 50, np.uint8),
            'ids': ids,
            'segments': [
                {'id': 70000, 'category_id': 17, 'iscrowd': 0, 'area': 8},
                {'id': 300, 'category_id': 5, 'iscrowd': 0, 'area': 8},
            ],
        },
        {
            'name': 'b',
            'img': np.full((4, 6, 3), 90, np.uint8),
            'ids': np.full((4, 6), 9),
            'segments': [{'id': 9, 'category_id': 3, 'iscrowd': 1, 'area': 24}],
        },
    ]
    categories = [
        {'id': 5, 'name': 'grass', 'isthing': 0},
        {'id': 17, 'name': 'cat', 'isthing': 1},
        {'id': 3, 'name': 'dog', 'isthing': 1},
    ]
    return {
        **write_panoptic(tmp_path, samples, categories),
        'metainfo': {'classes': ('cat', 'dog', 'grass'), 'thing_classes': ('cat', 'dog')},
    }
