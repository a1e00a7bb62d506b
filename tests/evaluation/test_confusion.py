"""Confusion matrices against counts by hand."""
import csv
import json

import cv2
import numpy as np
import pytest
import torch

import mmxf.registry  # noqa: F401
from mmxf.evaluation.confusion import Confusion, box_iou, object_matrix, pixel_matrix
from mmxf.evaluation.metrics.confusion import DetectionConfusion, SemanticConfusion

CLASSES = ('cat', 'dog')


def test_pixels():
    truth = np.array([[0, 0, 1, 1], [255, 7, 1, 0]])
    said = np.array([[0, 1, 1, 9], [0, 0, 1, -1]])
    assert pixel_matrix(truth, said, 2).tolist() == [[1, 1, 1], [0, 2, 1], [0, 0, 0]]


def test_objects():
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 70, 10]], float)
    labels = np.array([0, 1, 1, 0])
    found = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 9], [80, 0, 90, 10], [60, 0, 70, 10]], float)
    #        the dog in a cat's place is better rated than the cat; a cat for a dog; nothing there; over a crowd
    matrix = object_matrix(boxes, labels, found, np.array([1, 0, 0, 1, 1]), np.array([0.9, 0.5, 0.8, 0.7, 0.6]), 2,
                           crowd=np.array([0, 0, 0, 1]))
    assert matrix.tolist() == [[1, 0, 0], [1, 0, 1], [0, 2, 0]]
    assert box_iou(boxes[:1], np.array([[5, 0, 15, 10.]])).item() == pytest.approx(1 / 3)
    none = np.zeros((0, 4))
    assert object_matrix(none, labels[:0], none, labels[:0], labels[:0], 2).sum() == 0


def test_rows_and_files(tmp_path):
    confusion = Confusion(CLASSES, np.array([[8, 2, 0], [0, 0, 0], [0, 1, 0]]), 'pixels')
    cat, dog = confusion.rows()
    assert cat == {'class': 'cat', 'pixels': 10, 'recall': 80.0, 'precision': 100.0, 'IoU': 80.0, 'taken for': 'dog',
                   'share': 20.0}
    assert dog['recall'] is None and dog['precision'] == 0.0
    files = confusion.write(tmp_path, 'c')
    assert list(csv.reader(files[0].open()))[1] == ['cat', '8', '2', '0']
    assert next(csv.DictReader(files[1].open()))['IoU'] == '80.0'
    assert cv2.imread(str(files[2])).shape[0] > 300 and '80.00' in confusion.table()


def test_many_classes_are_drawn_as_those_confused_most(tmp_path):
    names = tuple(f'class {i}' for i in range(150))
    matrix = np.eye(151, dtype=int) * 5
    matrix[3, 7] = 50
    files = Confusion(names, matrix, 'objects').write(tmp_path, 'c')
    assert cv2.imread(str(files[2])).shape[0] < 4000


def test_metric_of_segmentation(tmp_path):
    metric = SemanticConfusion(str(tmp_path))
    metric.dataset_meta = dict(classes=CLASSES)
    truth, said = torch.tensor([[[0, 1], [1, 255]]]), torch.tensor([[[0, 0], [1, 1]]])
    sample = dict(img_path='a.jpg', gt_sem_seg=dict(data=truth), pred_sem_seg=dict(data=said))
    metric.process({}, [sample])
    assert metric.evaluate(1) == {'confusion/recall': 75.0, 'confusion/precision': 75.0}
    assert (tmp_path / 'confusion_pixels.png').is_file()


def test_metric_of_detection(tmp_path):
    (tmp_path / 'gt.json').write_text(json.dumps(dict(
        images=[dict(id=5)], categories=[dict(id=3, name='dog'), dict(id=9, name='cat'), dict(id=2, name='cow')],
        annotations=[dict(image_id=5, category_id=3, bbox=[0, 0, 10, 10]), dict(image_id=5, category_id=2, bbox=[9, 9, 9, 9])])))
    metric = DetectionConfusion(str(tmp_path / 'out'), str(tmp_path / 'gt.json'))
    metric.dataset_meta = dict(classes=CLASSES)
    found = dict(bboxes=torch.tensor([[0., 0, 10, 10], [0, 0, 10, 10]]), labels=torch.tensor([0, 1]),
                 scores=torch.tensor([0.9, 0.1]))
    metric.process({}, [dict(img_id=5, pred_instances=found)])
    metric.evaluate(1)
    rows = list(csv.reader((tmp_path / 'out/confusion_objects.csv').open()))
    assert rows[2] == ['dog', '1', '0', '0'], 'the dog was taken for a cat; the low score does not count'
    with pytest.raises(KeyError, match='gt.json'):
        metric.process({}, [dict(img_id=6, pred_instances=found)])
