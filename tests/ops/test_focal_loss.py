"""sigmoid_focal_loss against the formula on single numbers, and finite differences."""
import math

import pytest
import torch
from mmcv.ops import SigmoidFocalLoss, sigmoid_focal_loss


def plain(logits, target, gamma, alpha, weight):
    out = torch.zeros_like(logits)
    for n, t in enumerate(target.tolist()):
        for k in range(logits.shape[1]):
            p = 1 / (1 + math.exp(-logits[n, k].item()))
            if t == k:
                out[n, k] = -alpha * (1 - p) ** gamma * math.log(p)
            else:
                out[n, k] = -(1 - alpha) * p ** gamma * math.log(1 - p)
            if weight is not None and 0 <= t < logits.shape[1]:
                out[n, k] *= weight[t].item()
    return out


@pytest.mark.parametrize('weighted', [False, True])
@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (0.0, 0.5), (1.5, 0.75)])
@pytest.mark.parametrize('n, k', [(1, 1), (7, 5)])
def test_forward_and_gradient(stand_in, device, n, k, gamma, alpha, weighted):
    logits = (torch.randn(n, k, dtype=torch.float64) * 3)
    target = torch.randint(-1, k + 1, (n,))   # -1 and k are background
    weight = torch.rand(k, dtype=torch.float64) + .5 if weighted else None
    want = plain(logits, target, gamma, alpha, weight)
    on = logits.to(device).requires_grad_(), target.to(device), gamma, alpha, \
        weight.to(device) if weighted else None
    torch.testing.assert_close(sigmoid_focal_loss(*on, 'none').cpu(), want)
    torch.testing.assert_close(sigmoid_focal_loss(*on, 'sum').cpu(), want.sum())
    torch.testing.assert_close(sigmoid_focal_loss(*on, 'mean').cpu(), want.sum() / n)
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, *on[1:], 'none').sum(1), on[0])
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, *on[1:], 'mean'), on[0])


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_large_logits_stay_finite(stand_in, device, dtype):
    """Hard, wrong predictions: the loss is about |x|, not the logarithm of the smallest number."""
    logits = torch.tensor([[60., -60.], [-60., 60.]], dtype=dtype, device=device, requires_grad=True)
    loss = sigmoid_focal_loss(logits, torch.tensor([1, 1], device=device), 2.0, 0.25, None, 'none')
    torch.testing.assert_close(loss.float().cpu(), torch.tensor([[45., 15.], [0., 0.]]))
    loss.sum().backward()
    assert logits.grad.isfinite().all() and loss.dtype == dtype


def test_empty(stand_in, device):
    logits = torch.zeros(0, 4, device=device, requires_grad=True)
    loss = SigmoidFocalLoss(2.0, 0.25, reduction='sum')(
        logits, torch.zeros(0, dtype=torch.long, device=device)
    )
    loss.backward()
    assert loss == 0 and logits.grad.shape == (0, 4)
