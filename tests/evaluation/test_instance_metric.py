"""Instance AP: mmdet's CocoMetric behind labels of things and stuff, and mmdet's CityScapesMetric."""

import json

import cv2
import numpy as np
import pytest
import torch

from mmxf.registry import METRICS

# Stuff comes between the things, and the file's categories come in another order.
META = {
    'classes': ('wall', 'cat', 'sky', 'dog'),
    'thing_classes': ('cat', 'dog'),
    'stuff_classes': ('wall', 'sky'),
}
SQUARES = {'cat': (2, 2), 'dog': (12, 4)}  # x, y of a 6x6 square


def mask(name: str) -> np.ndarray:
    out = np.zeros((16, 24), bool)
    x, y = SQUARES[name]
    out[y : y + 6, x : x + 6] = True
    return out


@pytest.fixture
def ann_file(tmp_path):
    annotations = [
        {
            'id': k,
            'image_id': 3,
            'category_id': category,
            'iscrowd': 0,
            'area': 36,
            'bbox': [*SQUARES[name], 6, 6],
            'segmentation': [[x, y, x + 6, y, x + 6, y + 6, x, y + 6]],
        }
        for k, (category, name) in enumerate(((8, 'cat'), (5, 'dog')), 1)
        for x, y in [SQUARES[name]]
    ]
    content = {
        'images': [{'id': 3, 'file_name': '3.jpg', 'height': 16, 'width': 24}],
        'annotations': annotations,
        'categories': [{'id': 5, 'name': 'dog'}, {'id': 8, 'name': 'cat'}],
    }
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps(content))
    return str(path)


def prediction(labels: list[int]) -> dict:
    """Instances: the cat's square, the dog's square, and the whole image as sky."""
    masks = torch.from_numpy(np.stack((mask('cat'), mask('dog'), np.ones((16, 24), bool))))
    boxes = torch.tensor([[2, 2, 8, 8], [12, 4, 18, 10], [0, 0, 24, 16]]).float()
    instances = {
        'labels': torch.tensor(labels),
        'scores': torch.tensor([0.9, 0.8, 0.95]),
        'bboxes': boxes,
        'masks': masks,
    }
    return {'img_id': 3, 'img_path': '3.jpg', 'ori_shape': (16, 24), 'pred_instances': instances}


def evaluate(ann_file: str, labels: list[int], repeat: int = 1) -> dict:
    metric = METRICS.build({'type': 'InstanceMetric', 'ann_file': ann_file})
    metric.dataset_meta = META
    for _ in range(repeat):
        metric.process({}, [prediction(labels)])
    return metric.evaluate(repeat)


def test_labels_meet_categories_by_name_and_stuff_is_left_out(ann_file):
    results = evaluate(ann_file, [1, 3, 2])
    assert results['coco/bbox_mAP'] == 1 and results['coco/segm_mAP'] == 1
    swapped = evaluate(ann_file, [3, 1, 2])
    assert swapped['coco/segm_mAP'] == 0 and swapped['coco/bbox_mAP'] == 0


def test_an_image_that_comes_twice_counts_once(ann_file):
    assert evaluate(ann_file, [1, 2, 2], repeat=2) == evaluate(ann_file, [1, 2, 2])


def test_bad_input_is_named(ann_file):
    metric = METRICS.build({'type': 'InstanceMetric', 'ann_file': ann_file})
    metric.dataset_meta = {
        **META,
        'classes': (*META['classes'], 'cow'),
        'thing_classes': ('cat', 'dog', 'cow'),
    }
    with pytest.raises(ValueError, match="lack 1 of the data set's 3 thing classes, 'cow'"):
        metric.process({}, [prediction([1, 3, 2])])
    metric.dataset_meta = META
    with pytest.raises(KeyError, match='image 3: .*pred_instances'):
        metric.process({}, [{'img_id': 3}])


def test_cocometric_of_mmdet_works_unwrapped(ann_file):
    metric = METRICS.build({'type': 'mmdet.CocoMetric', 'ann_file': ann_file, 'metric': ['bbox', 'segm']})
    metric.dataset_meta = {'classes': ('dog', 'cat')}  # the file's own order
    metric.process({}, [prediction([1, 0, 0])])
    # The whole image as a dog outscores the true one: 1 for the cat, 0.5 for the dog.
    assert metric.evaluate(1)['coco/segm_mAP_50'] == 0.75


def test_cityscapes_instance_ap(tmp_path):
    """The official evaluation of cityscapesscripts, on a true car and a predicted one, with and without a shift."""
    images, labels = tmp_path / 'leftImg8bit/val/a', tmp_path / 'gtFine/val/a'
    for folder in (images, labels):
        folder.mkdir(parents=True)
    ids = np.full((64, 128), 7, np.uint16)  # road
    ids[10:40, 20:60] = 26000  # a car
    cv2.imwrite(str(labels / 'a_000000_000019_gtFine_instanceIds.png'), ids)

    def evaluate_car(mask: np.ndarray) -> dict:
        metric = METRICS.build(
            {
                'type': 'mmdet.CityScapesMetric',
                'outfile_prefix': str(tmp_path / 'out'),
                'seg_prefix': str(tmp_path / 'gtFine/val'),
            }
        )
        metric.dataset_meta = {'classes': ('road', 'car')}
        instances = {
            'labels': torch.tensor([1]),
            'scores': torch.tensor([0.9]),
            'masks': torch.from_numpy(mask)[None],
        }
        metric.process({}, [{'img_path': str(images / 'a_000000_000019_leftImg8bit.png'), 'pred_instances': instances}])
        return metric.evaluate(1)

    assert evaluate_car(ids == 26000) == {'cityscapes/mAP': 1.0, 'cityscapes/AP@50': 1.0}
    shifted = evaluate_car(np.roll(ids == 26000, 8, 1))  # IoU 2 / 3: right at thresholds 0.5 to 0.65
    assert shifted == {'cityscapes/mAP': pytest.approx(0.4), 'cityscapes/AP@50': 1.0}
