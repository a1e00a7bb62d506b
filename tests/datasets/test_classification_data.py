"""Folders of classes, crops of objects, and the transforms of classifiers."""
import os

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

import mmxf  # noqa: F401
from mmxf.datasets import ImageFolder, ObjectCrops
from mmxf.datasets.transforms.classification import CropToBox, RandomResizedCrop
from mmxf.datasets.transforms.rand_augment import OPERATIONS, RandAugment


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmxf'):
        yield


@pytest.fixture
def folders(tmp_path):
    for number, name in enumerate(('n02', 'n01', 'n03')):
        (tmp_path / 'train' / name).mkdir(parents=True)
        for i in range(number + 1):
            cv2.imwrite(str(tmp_path / 'train' / name / f'{i}.JPEG'), np.full((20, 30, 3), 40 * number, np.uint8))
    (tmp_path / 'train/n01/notes.txt').write_text('no image')
    return tmp_path


def test_classes_are_the_folders(folders):
    data = ImageFolder(data_root=str(folders), data_prefix=dict(img='train'))
    assert data.metainfo['classes'] == ('n01', 'n02', 'n03')
    assert data.class_folder == folders / 'train'
    assert [data.get_data_info(i)['gt_label'] for i in range(len(data))] == [0, 0, 1, 2, 2, 2]
    chosen = ImageFolder(data_root=str(folders), data_prefix=dict(img='train'), metainfo=dict(classes=('n03', 'n01')))
    assert [chosen.get_data_info(i)['gt_label'] for i in range(len(chosen))] == [0, 0, 0, 1, 1]


def test_bad_folders_are_named(folders):
    with pytest.raises(FileNotFoundError, match='there is no folder .*val'):
        ImageFolder(data_root=str(folders), data_prefix=dict(img='val'))
    (folders / 'train/n04').mkdir()
    with pytest.raises(ValueError, match='1 of 4 classes .* have no image .*n04'):
        ImageFolder(data_root=str(folders), data_prefix=dict(img='train'))
    with pytest.raises(ValueError, match="no folder for 1 of 1 classes, 'n09'"):
        ImageFolder(data_root=str(folders), data_prefix=dict(img='train'), metainfo=dict(classes=('n09',)))
    (folders / 'empty').mkdir()
    with pytest.raises(ValueError, match='has no folders'):
        ImageFolder(data_root=str(folders), data_prefix=dict(img='empty'))


def test_a_class_that_cannot_be_read_is_named(folders, monkeypatch):
    scandir = os.scandir

    def refused(path):
        if str(path).endswith('n02'):
            raise PermissionError(13, 'Permission denied', str(path))
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', refused)
    with pytest.raises(ValueError, match="the class 'n02' cannot be read: .*Permission denied"):
        ImageFolder(data_root=str(folders), data_prefix=dict(img='train'))


def test_packed_sample(folders):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(16, 100000), keep_ratio=True, backend='pillow',
                                                     interpolation='bicubic'),
                dict(type='CenterCrop', crop_size=(14, 14)), dict(type='PackClassificationInputs')]
    sample = ImageFolder(data_root=str(folders), data_prefix=dict(img='train'), pipeline=pipeline)[5]
    assert sample['inputs'].shape == (3, 14, 14) and sample['inputs'].dtype == torch.uint8
    assert int(sample['data_samples'].gt_label) == 2 and sample['data_samples'].img_path.endswith('n03/2.JPEG')


def test_crops_of_objects(tmp_path):
    import json
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((60, 80, 3), np.uint8))
    boxes = [([10, 10, 20, 30], 1, 0), ([0, 0, 4, 40], 1, 0), ([5, 5, 30, 30], 2, 0), ([5, 5, 30, 30], 2, 1)]
    raw = dict(images=[dict(id=7, file_name='a.png', width=80, height=60)],
               categories=[dict(id=1, name='x'), dict(id=2, name='y')],
               annotations=[dict(id=i, image_id=7, category_id=c, bbox=b, area=b[2] * b[3], iscrowd=crowd)
                            for i, (b, c, crowd) in enumerate(boxes)])
    (tmp_path / 'ann.json').write_text(json.dumps(raw))
    inner = dict(type='mmdet.CocoDataset', data_root=str(tmp_path), ann_file='ann.json', data_prefix=dict(img=''),
                 metainfo=dict(classes=('x', 'y')))
    data = ObjectCrops(inner, margin=0.1, min_size=8)
    assert [data.get_data_info(i)['gt_label'] for i in range(len(data))] == [0, 1]      # a thin one and a crowd are left out
    assert data.get_data_info(0)['crop_box'] == (7, 7, 33, 43) and data.metainfo['classes'] == ('x', 'y')
    with pytest.raises(ValueError, match='no object of at least 50 pixels'):
        ObjectCrops(inner, min_size=50)


def test_crop_repeats_the_border():
    img = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    out = CropToBox().transform(dict(img=img, crop_box=(-2, 1, 3, 7)))['img']
    assert out.shape == (6, 5, 3)
    assert (out[:, :3] == out[:, 2:3]).all() and (out[4:] == out[3]).all() and (out[:4, 2:] == img[1:5, :3]).all()
    with pytest.raises(ValueError, match='outside the image'):
        CropToBox().transform(dict(img=img, crop_box=(20, 20, 30, 30)))


def test_random_resized_crop():
    np.random.seed(0)
    crop = RandomResizedCrop((24, 32), area=(0.2, 0.6))
    shares = []
    for _ in range(200):
        left, top, right, bottom = crop._box(60, 100)
        assert 0 <= left < right <= 100 and 0 <= top < bottom <= 60
        shares.append((right - left) * (bottom - top) / 6000)
        assert 0.72 < (right - left) / (bottom - top) < 1.39
    assert 0.19 < min(shares) < 0.25 and 0.5 < max(shares) < 0.61
    assert crop._box(10, 1000) == (493, 0, 506, 10)                  # no allowed shape fits: the middle
    assert crop.transform(dict(img=np.zeros((60, 100, 3), np.uint8)))['img'].shape == (24, 32, 3)


@pytest.mark.parametrize('name', OPERATIONS)
def test_operations_of_rand_augment(name):
    np.random.seed(1)
    img = np.random.randint(0, 256, (20, 24, 3), dtype=np.uint8)
    img = cv2.GaussianBlur(img, (5, 5), 2)
    img[:2] = 250
    from PIL import Image
    out = np.asarray(OPERATIONS[name](Image.fromarray(img), 9.0, (1, 2, 3)))
    assert out.shape == img.shape and out.dtype == np.uint8 and (out != img).any()
    if name == 'Invert':
        assert (out == 255 - img).all()
    if name == 'Posterize':
        assert (out == img & 0b11100000).all()                      # int(9 / 10 * 4) = 3 bits
    if name == 'Solarize':
        assert (out == np.where(img < 230, img, 255 - img)).all()   # int(9 / 10 * 256) = 230
    if name == 'SolarizeAdd':
        assert (out == np.where(img < 128, np.minimum(img.astype(int) + 99, 255), img)).all()


def test_rand_augment_is_reproduced_by_the_seed():
    img = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8), (5, 5), 2)
    outs = []
    for seed in (3, 3, 4):
        np.random.seed(seed)
        outs.append(Compose([RandAugment(prob=1.0)])(dict(img=img))['img'])
    assert (outs[0] == outs[1]).all() and (outs[0] != outs[2]).any()
    same = RandAugment(prob=0.0).transform(dict(img=img))['img']
    assert (same == img).all()
    with pytest.raises(ValueError, match='magnitude must be within'):
        RandAugment(magnitude=30)
