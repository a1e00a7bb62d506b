"""The official files as they are: real COCO, COCO-Stuff, Cityscapes and ADE20K samples."""

import json
import shutil
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmxf.config import load_config
from mmxf.datasets import ADE20KPanoptic, CityscapesPanoptic, CocoPanoptic, PanopticDataset, read_metainfo
from mmxf.datasets.prepare import cityscapes
from mmxf.datasets.transforms import LoadPanopticSegments

LOAD = [{'type': 'LoadImageFromFile'}, {'type': 'LoadPanopticSegments', 'unknown': 'error'}]


def train_pipeline(name: str, size, tmp_path: Path, config_folder: Path) -> list[dict]:
    root = tmp_path / 'root.py'
    root.write_text(f"_base_ = '{config_folder}/{name}_panoptic.py'\nimage_size = {size}\n")
    return load_config(root).train_dataloader.dataset.pipeline


@pytest.fixture
def config_folder(request) -> Path:
    return request.config.rootpath / 'configs/_base_/datasets'


def check_areas(dataset: PanopticDataset, ann_file: Path) -> None:
    """Every segment has the class, and in the loaded map the area, that the JSON states."""
    raw = json.loads(ann_file.read_text())
    names = {c['id']: c['name'] for c in raw['categories']}
    stated = {a['image_id']: {s['id']: s for s in a['segments_info']} for a in raw['annotations']}
    for i in range(len(dataset)):
        sample = dataset[i]
        areas = np.bincount(sample['gt_seg_map'].ravel(), minlength=len(sample['segments_info']) + 1)
        segments = stated[sample['img_id']]
        assert len(segments) == len(sample['segments_info']) > 0
        for s in sample['segments_info']:
            assert areas[s['id']] == segments[s['file_id']]['area']
            assert dataset.metainfo['classes'][s['label']] == names[segments[s['file_id']]['category_id']]
            assert s['isthing'] == (
                dataset.metainfo['classes'][s['label']] in dataset.metainfo['thing_classes']
            )


def coco(real_data: Path, **kwargs) -> CocoPanoptic:
    return CocoPanoptic(
        ann_file='annotations/panoptic_val2017.json',
        data_root=str(real_data / 'coco_panoptic'),
        data_prefix={'img': 'val2017', 'seg': 'annotations/panoptic_val2017'},
        **kwargs,
    )


def test_coco(real_data):
    dataset = coco(real_data, pipeline=LOAD)
    assert len(dataset) == 2
    check_areas(dataset, real_data / 'coco_panoptic/annotations/panoptic_val2017.json')


def test_coco_training_pipeline(real_data, tmp_path, config_folder):
    dataset = coco(real_data, pipeline=train_pipeline('coco', (1281, 1281), tmp_path, config_folder))
    np.random.seed(0)
    dataset[0]
    start = time.process_time()
    samples = [dataset[i % 2] for i in range(8)]
    seconds = (time.process_time() - start) / len(samples)
    for sample in samples:
        assert sample['inputs'].shape == (3, 1281, 1281)
        index = sample['data_samples'].gt_panoptic_index.data
        assert index.shape == (1, 321, 321) and (index >= 0).sum() > 4096
        assert index.max() + 1 == len(sample['data_samples'].gt_instances.labels)
    # About 0.03 s on an idle core; ten times that would leave accelerators waiting.
    assert seconds < 0.35, f'{seconds:.3f} s a sample'


def test_cocostuff_with_a_metainfo_of_its_own(real_data):
    root = real_data / 'cocostuff'
    for split, count in (('train', 13), ('val', 8)):
        ann_file = root / f'panoptic_derived/panoptic_{split}.json'
        image = next(root.rglob(json.loads(ann_file.read_text())['images'][0]['file_name']))
        dataset = PanopticDataset(
            ann_file=str(ann_file),
            metainfo=read_metainfo(ann_file),
            data_prefix={'img': str(image.parent), 'seg': str(root / f'panoptic_derived/{split}')},
            pipeline=LOAD,
        )
        assert len(dataset) == count and len(dataset.metainfo['classes']) == 171
        check_areas(dataset, ann_file)


def test_cityscapes_from_the_official_tree(real_data, tmp_path, config_folder):
    shutil.copytree(real_data / 'cityscapes/gtFine', tmp_path / 'gtFine')
    (tmp_path / 'leftImg8bit').symlink_to(real_data / 'cityscapes/leftImg8bit')
    cityscapes.prepare(tmp_path, splits=('train',), workers=2)
    args = {
        'ann_file': 'gtFine/cityscapes_panoptic_train.json',
        'data_root': str(tmp_path),
        'data_prefix': {'img': 'leftImg8bit/train', 'seg': 'gtFine/cityscapes_panoptic_train'},
    }
    dataset = CityscapesPanoptic(pipeline=LOAD, **args)
    assert len(dataset) == 7
    check_areas(dataset, tmp_path / args['ann_file'])
    # Labels against the label maps themselves.
    from cityscapesscripts.helpers.labels import id2label

    sample = dataset[3]
    name = Path(sample['img_path']).name.replace('leftImg8bit', 'gtFine_labelIds')
    ids = cv2.imread(str(tmp_path / 'gtFine/train/aachen' / name), cv2.IMREAD_UNCHANGED)
    train_ids = np.array([id2label[i].trainId if id2label[i].trainId < 19 else -1 for i in range(34)])[ids]
    labels = np.array([-1] + [s['label'] for s in sample['segments_info']])[sample['gt_seg_map']]
    assert (labels == train_ids).all() and len(np.unique(labels)) > 8

    pipeline = train_pipeline('cityscapes', (1025, 2049), tmp_path, config_folder)
    np.random.seed(0)
    sample = CityscapesPanoptic(pipeline=pipeline, **args)[0]
    assert sample['inputs'].shape == (3, 1025, 2049)
    index = sample['data_samples'].gt_panoptic_index.data
    assert index.shape == (1, 257, 513) and index.max() > 5


def test_ade20k_semantic_labels_as_panoptic(real_data, tmp_path):
    """The sample has no instances: each class of an image becomes one segment."""
    folder = real_data / 'ade20k_sample'
    meta = ADE20KPanoptic.METAINFO
    categories = [
        {'id': i, 'name': n, 'isthing': int(n in meta['thing_classes'])}
        for i, n in enumerate(meta['classes'])
    ]
    raw = {'images': [], 'annotations': [], 'categories': categories}
    for path in sorted((folder / 'annotations').glob('*.png')):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert labels.max() <= 150
        cv2.imwrite(str(tmp_path / path.name), labels[..., None] * np.array([0, 0, 1], np.uint8))
        h, w = labels.shape
        raw['images'].append({'id': path.stem, 'file_name': f'{path.stem}.jpg', 'height': h, 'width': w})
        segments = [
            {'id': int(i), 'category_id': int(i) - 1, 'area': int((labels == i).sum())}
            for i in np.unique(labels)
            if i
        ]
        raw['annotations'].append({'image_id': path.stem, 'file_name': path.name, 'segments_info': segments})
    (tmp_path / 'ann.json').write_text(json.dumps(raw))
    dataset = ADE20KPanoptic(
        ann_file='ann.json',
        data_root=str(tmp_path),
        data_prefix={'img': str(folder / 'images'), 'seg': ''},
        pipeline=LOAD,
    )
    assert len(dataset) == 3
    check_areas(dataset, tmp_path / 'ann.json')


def test_an_image_of_another_split_is_noticed(real_data):
    dataset = coco(real_data)
    first, second = dataset.get_data_info(0), dataset.get_data_info(1)
    first['seg_map_path'] = second['seg_map_path']
    first['img'] = cv2.imread(first['img_path'])
    with pytest.raises(ValueError, match='of the same split'):
        LoadPanopticSegments().transform(first)
