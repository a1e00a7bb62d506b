"""Mixing of batches, the classifier, and its metric."""
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

import mmxf  # noqa: F401
from mmxf.evaluation.metrics import ClassificationMetric
from mmxf.evaluation.metrics.classification import confusion_matrix, table
from mmxf.structures.classification import ClassificationSample
from mmxf.tasks import ClassificationPreprocessor, ImageClassifier
from mmxf.tasks.image_mixing import cutmix, erase, smooth_labels


@pytest.fixture(autouse=True)
def scope():
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmxf'):
        yield


def batch(labels, size=16):
    samples = []
    for label in labels:
        samples.append(ClassificationSample())
        samples[-1].gt_label = torch.tensor(label)
    return dict(inputs=[torch.full((3, size, size), 10 * i, dtype=torch.uint8) for i in range(len(labels))],
                data_samples=samples)


def plain(**kwargs) -> ClassificationPreprocessor:
    return ClassificationPreprocessor(mean=(0, 0, 0), std=(1, 1, 1), **kwargs)


def test_normalisation():
    data = dict(inputs=[torch.tensor([10, 20, 30], dtype=torch.uint8)[:, None, None].expand(3, 4, 4)], data_samples=None)
    out = ClassificationPreprocessor(mean=(30, 20, 10), std=(2, 1, 1))(data)['inputs']
    assert out[0, :, 0, 0].tolist() == [0, 0, 0]          # BGR came in
    with pytest.raises(ValueError, match='different sizes'):
        plain()(dict(inputs=[torch.zeros(3, 4, 4), torch.zeros(3, 5, 4)]))


def test_smoothing():
    assert torch.allclose(smooth_labels(torch.tensor([1]), 4, 0.1), torch.tensor([[0.025, 0.925, 0.025, 0.025]]))


def test_mixup_mixes_labels_as_pixels():
    out = plain(num_classes=4, mixup=0.8)(batch([0, 1, 2, 3]), training=True)
    share = out['targets'][0, 0]
    assert 0 < share < 1
    for i in range(4):
        wanted = share * 10 * i + (1 - share) * 10 * (3 - i)
        torch.testing.assert_close(out['inputs'][i], wanted.expand(3, 16, 16), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(out['targets'][i].sum(), torch.tensor(1.0))
        assert out['targets'][i, 3 - i] == pytest.approx(1 - float(share))


def test_cutmix_mixes_labels_by_area():
    for seed in range(20):
        torch.manual_seed(seed)
        out = plain(num_classes=4, cutmix=1.0)(batch([0, 1, 2, 3]), training=True)
        for i in range(4):
            kept = float((out['inputs'][i] == 10 * i).float().mean())
            assert out['targets'][i, i] == pytest.approx(kept, abs=1e-5)
    images, share = cutmix(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8), 1.0)
    assert share == 1 and not images.any()


def test_both_take_turns():
    kinds = set()
    for seed in range(20):
        torch.manual_seed(seed)
        out = plain(num_classes=2, mixup=0.8, cutmix=1.0)(batch([0, 1]), training=True)
        kinds.add(len(out['inputs'][0].unique()) == 1)
    assert kinds == {True, False}


def test_evaluation_mixes_nothing():
    out = plain(num_classes=4, mixup=0.8, cutmix=1.0, smoothing=0.1, erasing=1.0)(batch([0, 1]), training=False)
    assert 'targets' not in out and (out['inputs'][1] == 10).all()
    with pytest.raises(ValueError, match='num_classes'):
        plain(smoothing=0.1)


def test_erasing():
    images = torch.zeros(300, 3, 32, 32)
    erase(images, 0.25)
    shares = (images != 0).float().mean((1, 2, 3))
    assert 0.15 < float((shares > 0).float().mean()) < 0.35
    assert 0.01 < float(shares[shares > 0].min()) and float(shares.max()) < 0.37
    noise = images[images != 0]
    assert abs(float(noise.mean())) < 0.05 and abs(float(noise.std()) - 1) < 0.05


def classifier(**kwargs) -> ImageClassifier:
    return ImageClassifier(dict(type='KAT', arch=dict(channels=16, depth=1, num_heads=2), img_size=16, patch_size=8),
                           dict(type='LinearHead', in_channels=16, num_classes=4),
                           dict(type='ClassificationPreprocessor', **kwargs))


def test_modes():
    model = classifier(num_classes=4, smoothing=0.1)
    data = model.data_preprocessor(batch([0, 3]), True)
    loss = model(**data, mode='loss')['loss']
    logits = model(data['inputs'])
    wanted = -(data['targets'] * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(loss, wanted)
    with torch.no_grad():
        samples = model.eval().val_step(batch([0, 3]))
    assert float(samples[0].pred_scores.sum()) == pytest.approx(1) and samples[1].gt_label == 3
    assert model.checkpoint_num_classes(model.state_dict()) == model.num_classes == 4
    with pytest.raises(ValueError, match='mode must be'):
        model(data['inputs'], mode='train')
    with pytest.raises(ValueError, match=r'\(B, 3, H, W\)'):
        model(torch.zeros(3, 16, 16))


def test_a_label_that_the_head_lacks():
    model = classifier()
    with pytest.raises(ValueError, match='label 4 of a model with 4 classes'):
        model(**model.data_preprocessor(batch([0, 4]), True), mode='loss')


def test_metric():
    metric = ClassificationMetric(topk=(1, 2, 5))
    metric.dataset_meta = dict(classes=('a', 'b', 'c'))
    scores = [[.7, .2, .1], [.5, .4, .1], [.1, .8, .1], [.3, .6, .1]]
    samples = [dict(gt_label=torch.tensor(label), pred_scores=torch.tensor(s)) for label, s in zip((0, 1, 1, 2), scores)]
    metric.process({}, samples)
    out = metric.evaluate(4)
    assert out == {'accuracy/top1': 50.0, 'accuracy/top2': 75.0, 'accuracy/mean_class': 50.0, 'accuracy/majority': 50.0}
    assert metric.matrix.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert table(metric.matrix, ('a', 'b', 'c')).splitlines()[3].split() == ['b:', '1', '1', '0', '50.0%']
    with pytest.raises(KeyError, match='gt_label'):
        metric.process({}, [dict(pred_scores=torch.ones(3))])


def test_confusion_matrix_by_counting():
    truth, predicted = np.random.default_rng(0).integers(0, 4, (2, 50))
    wanted = np.zeros((4, 4), int)
    for t, p in zip(truth, predicted):
        wanted[t, p] += 1
    assert (confusion_matrix(truth, predicted, 4) == wanted).all()
