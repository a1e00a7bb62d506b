"""Mixed precision: every operation runs, what must be float32 is, and depth, losses and gradients stay near float32's."""
from collections import defaultdict

import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData
from omnifusion_cases import estimator, load, panorama
from test_omnifusion import estimator as small
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BFLOAT16 = torch.bfloat16
# One pass merged by confidence, two passes merged by means.
CASES = {'single_4': dict(), 'several_4': dict(iterations=2, confidence=False)}
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))]


class Types(TorchDispatchMode):
    """Types of floating point operands of each operation."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = defaultdict(set)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function).split('.')[1].strip('_')
        self.seen[name] |= {leaf.dtype for leaf in tree_leaves((args, kwargs))
                            if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()}
        return function(*args, **(kwargs or {}))


def mixed(device):
    return torch.autocast(device, dtype=BFLOAT16)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('name', CASES)
def test_inference(name, device):
    model, inputs = load(estimator(**CASES[name]), name).to(device), panorama('half').to(device)
    with torch.no_grad():
        exact = model(inputs)
        with mixed(device), Types() as types:
            rough = model(inputs)
    seen = types.seen
    assert seen['convolution'] == {BFLOAT16, torch.float32}, 'the head that gives depth is float32'
    assert seen['addmm'] == seen['gelu'] == {BFLOAT16}
    assert seen['grid_sampler_2d'] == seen['embedding_bag_forward_only'] == {torch.float32}, 'coordinates and weights of merging'
    assert seen['sigmoid'] <= {torch.float32}
    assert rough.dtype == torch.float32 and len(rough.unique()) > 0.9 * len(exact.unique()), 'no steps of depth'
    off = (rough - exact).abs() / exact.clamp(min=0.1)
    assert off.mean() < 0.01 and off.flatten().quantile(0.99) < 0.05


def step(model, inputs, targets, device, half):
    """Loss and gradients of a training step."""
    model.zero_grad()
    with torch.autocast(device, dtype=BFLOAT16, enabled=half):
        loss = sum(model(inputs, targets, mode='loss').values())
    loss.backward()
    return loss, {key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None}


def targets_like(depth):
    return [BaseDataElement(gt_depth=PixelData(data=one)) for one in depth]


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('kwargs', [{}, dict(geometry='points', iterations=2), dict(transformer=None, confidence=False)])
def test_training_lowers_the_loss_as_in_float32(kwargs, device):
    """Single gradients say little: rounding the weights alone turns those of a fresh network by 30 degrees."""
    inputs = panorama('curve', 32, 64, batch=2).to(device)
    depth = torch.tensor([2., 4.], device=device).view(2, 1, 1, 1).expand(2, 1, 32, 64).clone()
    depth[:, :, :3] = 0
    curves = []
    for half in (False, True):
        model = small(**kwargs).to(device).train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
        curve = []
        for _ in range(6):
            loss, gradients = step(model, inputs, targets_like(depth), device, half)
            assert loss.dtype == torch.float32
            assert all(g.dtype == torch.float32 and torch.isfinite(g).all() for g in gradients.values())
            optimizer.step()
            curve.append(loss.item())
        curves.append(curve)
    exact, rough = torch.tensor(curves)
    assert exact[-1] < 0.8 * exact[0], curves
    assert ((rough - exact).abs() < 0.03 * exact[0]).all(), curves
