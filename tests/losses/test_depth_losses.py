"""Losses of depth: against the official code's numbers, by hand, and what happens at their edges."""
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mmxf  # noqa: F401
from mmxf.losses import berhu, masked_l1, silog
from mmxf.registry import MODELS

PARITY = Path(__file__).resolve().parents[1] / 'parity'
sys.path.insert(0, str(PARITY))
import weights  # noqa: E402


def maps(seed: int):
    """Prediction, target and mask (2, 1, 24, 48), as in the script that ran the official functions."""
    target = weights.noise('gt', (2, 1, 24, 48), np.float32, seed) * 9
    spread = weights.noise('pred', (2, 1, 24, 48), np.float32, seed)
    pred = target * np.exp(0.6 * (spread - 0.5)).astype(np.float32) * 1.3
    mask = (target > 0.1) & (target <= 8)
    target = target * mask
    pred[0, 0, 3, 5] = 0
    pred[1, 0, :2] = 0
    return torch.from_numpy(pred.astype(np.float32)), torch.from_numpy(target), torch.from_numpy(mask)


@pytest.mark.parametrize('seed', range(3))
def test_berhu_and_l1_equal_the_official_functions(seed):
    numbers = np.load(PARITY / 'omnifusion' / 'functions.npz')
    pred, target, mask = maps(seed)
    pred.requires_grad_()
    loss = berhu(pred, target, mask, threshold_inside=False)
    assert loss.item() == pytest.approx(float(numbers[f'berhu{seed}']), abs=1e-6)
    loss.backward()
    np.testing.assert_allclose(weights.subset(pred.grad.numpy(), 256), numbers[f'berhu_grad{seed}'], atol=1e-8)
    assert masked_l1(pred, target, mask).item() == pytest.approx(float(numbers[f'l1{seed}']), abs=1e-6)


def test_berhu_by_hand():
    pred, target = torch.tensor([[[[1.0, 2.0, 3.0, 9.0]]]]), torch.tensor([[[[1.1, 2.5, 2.0, 0.0]]]])
    mask = target > 0
    c = 0.2         # of the largest known error, 1.0
    expected = (0.1 + (0.5 ** 2 + c ** 2) / (2 * c) + (1 + c ** 2) / (2 * c)) / 3
    assert berhu(pred, target, mask).item() == pytest.approx(expected, rel=1e-6)


def test_silog_by_hand_and_blind_to_scale():
    pred, target = torch.tensor([[[[1.0, 4.0, 5.0]]]]), torch.tensor([[[[2.0, 2.0, 0.0]]]])
    mask = target > 0
    d = [math.log(0.5), math.log(2.0)]
    expected = 10 * math.sqrt(sum(x * x for x in d) / 2 - 0.85 * (sum(d) / 2) ** 2)
    assert silog(pred, target, mask).item() == pytest.approx(expected, rel=1e-6)
    _, target, mask = maps(0)
    assert silog(3 * target, target, mask, variance_focus=1.0).item() < 1e-2
    assert silog(3 * target, target, mask, variance_focus=0.0).item() == pytest.approx(10 * math.log(3), rel=1e-5)


@pytest.mark.parametrize('kind', ['BerHuLoss', 'SiLogLoss', 'MaskedL1Loss'])
def test_empty_masks_perfect_predictions_and_unknown_pixels_leave_finite_gradients(kind):
    loss = MODELS.build(dict(type=f'mmxf.{kind}', loss_weight=2.0))
    pred, target, mask = maps(0)
    value = loss(pred, target, mask)
    assert value.item() == pytest.approx(2 * MODELS.build(dict(type=f'mmxf.{kind}'))(pred, target, mask).item())
    wild = torch.where(mask, pred, float('inf'))
    if kind != 'BerHuLoss' or loss.kwargs['threshold_inside']:
        assert loss(wild, target, mask).item() == pytest.approx(value.item(), rel=1e-6)
    for case_pred, case_mask in ((pred, torch.zeros_like(mask)), (target.clone(), mask)):
        leaf = case_pred.clone().requires_grad_()
        out = loss(leaf, target, case_mask)
        out.backward()
        assert out.item() == pytest.approx(0, abs=1e-4) and torch.isfinite(leaf.grad).all()
    half = mask.clone()
    half[0] = False
    if kind == 'MaskedL1Loss':    # an image without depth counts nothing, not zero
        assert loss(pred, target, half).item() == pytest.approx(2 * masked_l1(pred[1:], target[1:], mask[1:]).item())


def test_weights_count_pixels():
    pred, target, mask = maps(1)
    weight = torch.zeros(24, 48)
    weight[7] = 3.0
    row = [a[:, :, 7:8] for a in (pred, target, mask)]
    for loss in (berhu, silog, masked_l1):
        kwargs = dict(threshold=10.0) if loss is berhu else {}
        assert loss(pred, target, mask, weight=weight, **kwargs).item() == pytest.approx(loss(*row, **kwargs).item(), rel=1e-5)
