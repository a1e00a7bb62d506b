"""Mean IoU with ground truth from panoptic files or label maps, against counting by hand and mmseg itself."""

import cv2
import numpy as np
import pytest
import torch
from panoptic_cases import CATEGORIES, CATEGORY_IDS, random_scene, write_files

from mmxf.registry import METRICS

CLASSES = [category['name'] for category in CATEGORIES]


def semantic_truth(scene) -> np.ndarray:
    out = np.full(scene[0].shape, 255)
    for info in scene[1]:
        out[scene[0] == info['id']] = CATEGORY_IDS.index(info['category_id'])
    return out


def plain_miou(truths: list, preds: list) -> float:
    ious = []
    for k in range(len(CLASSES)):
        inter = sum(((t == k) & (p == k)).sum() for t, p in zip(truths, preds))
        union = sum((((t == k) | (p == k)) & (t != 255)).sum() for t, p in zip(truths, preds))
        if union:
            ious.append(inter / union)
    return 100 * float(np.mean(ious))


@pytest.mark.parametrize('kind', ['pred_sem_seg', 'pred_panoptic_seg'])
def test_ground_truth_from_panoptic_files(tmp_path, kind):
    scenes = [random_scene(seed) for seed in range(4)]
    paths = write_files(tmp_path, scenes)
    metric = METRICS.build({'type': 'SemanticMetric', 'ann_file': paths['gt_json']})
    metric.dataset_meta = {'classes': CLASSES}
    random = np.random.RandomState(0)
    truths = [semantic_truth(scene) for scene in scenes]
    preds = []
    for image_id, truth in enumerate(truths):
        # 7 is void of a panoptic prediction; a third of the pixels is wrong.
        pred = np.where(random.rand(*truth.shape) < 0.3, random.randint(0, 8, truth.shape), np.minimum(truth, 7))
        preds.append(pred)
        coded = pred + 1000 * random.randint(0, 9, pred.shape) if kind == 'pred_panoptic_seg' else pred
        metric.process({}, [{'img_id': image_id, kind: {'sem_seg': torch.from_numpy(coded)[None]}}])
    metric.process({}, [{'img_id': 3, kind: {'sem_seg': torch.from_numpy(coded)[None]}}])  # padding repeats it
    assert metric.evaluate(5)['semantic/mIoU'] == pytest.approx(plain_miou(truths, preds), abs=0.006)


def test_ground_truth_from_label_maps_as_in_ade20k(tmp_path):
    truth = np.array([[0, 1, 1, 2], [0, 3, 3, 2]], np.uint8)
    for name in ('images/training', 'annotations/training'):
        (tmp_path / name).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'annotations/training/x.png'), truth)
    metric = METRICS.build(
        {
            'type': 'SemanticMetric',
            'map_path': [('images/', 'annotations/'), ('.jpg', '.png')],
            'reduce_zero_label': True,
        }
    )
    metric.dataset_meta = {'classes': CLASSES[:3]}
    pred = torch.tensor([[[1, 0, 0, 1], [2, 2, 0, 1]]])
    sample = {
        'img_id': 1,
        'img_path': str(tmp_path / 'images/training/x.jpg'),
        'pred_sem_seg': {'sem_seg': pred},
    }
    metric.process({}, [sample])
    results = metric.evaluate(1)
    assert results['semantic/mIoU'] == pytest.approx(100 * (2 / 3 + 1 + 1 / 2) / 3, abs=0.006)
    assert results['semantic/aAcc'] == pytest.approx(100 * 5 / 6, abs=0.006)
    with pytest.raises(ValueError, match="replaces 'images/', which y.jpg does not contain"):
        metric.process({}, [{**sample, 'img_path': 'y.jpg'}])
    (tmp_path / 'annotations/training/x.png').unlink()
    with pytest.raises(ValueError, match='image 1: .*x.png cannot be read'):
        metric.process({}, [sample])


def test_many_pixels_are_not_lost(tmp_path):
    """mmseg sums areas in float32, which cannot count beyond 2**24; here they are summed exactly."""
    metric = METRICS.build({'type': 'SemanticMetric', 'ann_file': 'unused.json'})
    metric.dataset_meta = {'classes': CLASSES[:2]}
    big, one = torch.tensor([2.0**24, 0.0]).double(), torch.tensor([1.0, 0.0]).double()
    total = metric.compute_metrics([(0, big, 2 * big, big, big)] + [(k, one, one, one, one) for k in range(1, 2**14)])
    assert total['mIoU'] == pytest.approx(100 * (2**24 + 2**14 - 1) / (2**25 + 2**14 - 1), abs=0.006)


def test_mmseg_ioumetric_works_unwrapped():
    metric = METRICS.build({'type': 'mmseg.IoUMetric'})
    metric.dataset_meta = {'classes': CLASSES[:2]}
    pred, truth = torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 1, 1, 255]]])
    metric.process({}, [{'pred_sem_seg': {'data': pred}, 'gt_sem_seg': {'data': truth}}])
    assert metric.evaluate(1)['mIoU'] == 50


def test_bad_arguments_and_samples_are_named(tmp_path):
    with pytest.raises(ValueError, match='either ann_file .* or map_path'):
        METRICS.build({'type': 'SemanticMetric'})
    paths = write_files(tmp_path, [random_scene(0)])
    metric = METRICS.build({'type': 'SemanticMetric', 'ann_file': paths['gt_json']})
    metric.dataset_meta = {'classes': CLASSES}
    with pytest.raises(KeyError, match='image 0: neither pred_sem_seg'):
        metric.process({}, [{'img_id': 0}])
    with pytest.raises(ValueError, match=r'image 0: prediction is \(1, 2\), ground truth'):
        metric.process({}, [{'img_id': 0, 'pred_sem_seg': {'sem_seg': torch.zeros(1, 1, 2)}}])
    metric = METRICS.build({'type': 'SemanticMetric', 'ann_file': paths['gt_json']})
    metric.dataset_meta = {'classes': [*CLASSES, 'unicorn']}
    with pytest.raises(ValueError, match="'unicorn'"):
        metric.process({}, [{'img_id': 0, 'pred_sem_seg': {'sem_seg': torch.zeros(1, 1, 2)}}])
