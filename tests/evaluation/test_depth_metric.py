"""Errors of depth: against the official functions' numbers and by hand."""
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData

import mmxf  # noqa: F401
from mmxf.evaluation.depth_errors import MEASURES, DepthSums, lower_median, median_scale, row_weights
from mmxf.evaluation.metrics import DepthMetric

PARITY = Path(__file__).resolve().parents[1] / 'parity'
sys.path[:0] = [str(PARITY), str(PARITY.parent / 'losses')]
from test_depth_losses import maps  # noqa: E402


def samples(seed: int) -> list[dict]:
    pred, target, _ = maps(seed)
    return [dict(img_id=2 * seed + i, img_path=f'{seed}_{i}.png', pred_depth=dict(data=p), gt_depth=dict(data=t))
            for i, (p, t) in enumerate(zip(pred, target))]


def evaluate(*batches, **kwargs) -> dict:
    metric = DepthMetric(**kwargs)
    for batch in batches:
        metric.process({}, batch)
    return metric.compute_metrics(metric.results)


def test_measures_equal_the_official_functions():
    numbers = np.load(PARITY / 'omnifusion' / 'functions.npz')
    official = dict(align='median', align_over='batch', average='pixels')
    for seed in range(3):
        found = evaluate(samples(seed), **official)
        expected = dict(zip(MEASURES, numbers[f'metric{seed}']))
        for name in MEASURES:
            value = found[name] ** 2 if name.startswith('RMSE') else found[name]
            assert value == pytest.approx(expected[name], rel=1e-6, abs=1e-6), name
    found = evaluate(*map(samples, range(3)), **official)
    assert [found[name] for name in MEASURES] == pytest.approx(numbers['metric_set'].tolist(), rel=1e-6, abs=1e-6)


def test_by_hand_aligned_and_not():
    pred, target = np.array([1.0, 2.0, 6.0, 4.0]), np.array([2.0, 4.0, 8.0, 4.0])
    plain = DepthSums.of(pred, target).measures()
    assert plain['AbsRel'] == pytest.approx((0.5 + 0.5 + 0.25 + 0) / 4)
    assert plain['SqRel'] == pytest.approx((0.5 + 1.0 + 0.5 + 0) / 4)
    assert plain['RMSE'] == pytest.approx(np.sqrt((1 + 4 + 4) / 4))
    assert plain['RMSElog'] == pytest.approx(np.sqrt((2 * np.log(2) ** 2 + np.log(0.75) ** 2) / 4))
    assert [plain[d] for d in ('d1', 'd2', 'd3')] == [0.25, 0.5, 0.5]
    assert lower_median(pred) == 2.0 and median_scale(pred, target) == 2.0
    assert lower_median(pred) == torch.tensor(pred).median().item()


def test_image_means_differ_from_pixel_means_and_padding_counts_once():
    one, two = samples(0)
    per_image = evaluate([one, two])
    alone = [evaluate([s]) for s in (one, two)]
    assert per_image['RMSE'] == pytest.approx(np.mean([a['RMSE'] for a in alone]))
    assert evaluate([one, two], [one]) == per_image
    assert evaluate([one, two], align=None)['AbsRel'] > per_image['AbsRel'] + 0.05
    assert evaluate([one, two], average='pixels')['RMSE'] != per_image['RMSE']


def test_range_clip_and_solid_angle():
    target = torch.full((1, 4, 8), 2.0)
    target[0, 0], target[0, 1] = 0.0, 50.0
    pred = torch.full((1, 4, 8), 2.0)
    pred[0, 3] = 30.0
    sample = [dict(img_id=0, img_path='a.png', pred_depth=dict(data=pred), gt_depth=dict(data=target))]
    assert evaluate(sample, align=None, max_depth=10.0)['AbsRel'] == pytest.approx(14 / 2)
    assert evaluate(sample, align=None, min_depth=0.1, max_depth=10.0, clip=True)['AbsRel'] == pytest.approx(4 / 2)
    weight = row_weights(4, 8)[:, 0]
    np.testing.assert_allclose(weight, np.cos(np.deg2rad([67.5, 22.5, 22.5, 67.5])))
    found = evaluate(sample, align=None, max_depth=10.0, spherical=True)['AbsRel']
    assert found == pytest.approx(14 * weight[3] / (weight[2] + weight[3]))


@pytest.mark.parametrize('change, message', [
    (dict(gt_depth=dict(data=torch.zeros(1, 24, 48))), r'0_0\.png: no pixel has a true depth'),
    (dict(pred_depth=dict(data=torch.full((1, 24, 48), float('nan')))), r'0_0\.png: \d+ of \d+ predicted depths are not finite'),
    (dict(pred_depth=dict(data=torch.ones(1, 2, 2))), r'0_0\.png: predicted depth is \(2, 2\)')])
def test_what_cannot_be_scored_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        evaluate([dict(samples(0)[0], **change)])


def test_unknown_names_are_answered():
    with pytest.raises(ValueError, match='knows the measures AbsRel'):
        DepthMetric(measures=('AbsRell',))
    with pytest.raises(ValueError, match="align must be 'median'"):
        DepthMetric(align='mean')
    with pytest.raises(ValueError, match='clip=True needs'):
        DepthMetric(clip=True)


def test_pixel_data_serves_as_well():
    sample = samples(0)[0]
    plain = evaluate([sample])
    wrapped = dict(sample, **{key: PixelData(data=sample[key]['data']).to_dict() for key in ('pred_depth', 'gt_depth')})
    assert evaluate([wrapped]) == plain
