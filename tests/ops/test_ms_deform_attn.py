"""ms_deform_attn against loops, finite differences, and mmcv's own grid_sample version."""
import math
from itertools import product
from types import SimpleNamespace

import pytest
import torch
from mmcv.ops.multi_scale_deform_attn import (
    MultiScaleDeformableAttnFunction,
    multi_scale_deformable_attn_pytorch,
)

from mmxf.ops import ms_deform_attn

attend = MultiScaleDeformableAttnFunction.apply


def make(
    shapes=((3, 5), (2, 2)),
    batch=2,
    queries=4,
    heads=3,
    points=2,
    channels=2,
    device='cpu',
    dtype=torch.float64,
):
    length = sum(h * w for h, w in shapes)
    shape = (batch, queries, heads, len(shapes), points)
    kwargs = {'device': device, 'dtype': dtype}
    return SimpleNamespace(
        value=torch.randn(batch, length, heads, channels, **kwargs),
        shapes=torch.tensor(shapes, device=device),
        starts=torch.tensor([0] + [h * w for h, w in shapes], device=device).cumsum(0)[:-1],
        locations=torch.rand(*shape, 2, **kwargs) * 1.4 - 0.2,
        attention=torch.rand(shape, **kwargs))


def run(t, step=64):
    return attend(t.value, t.shapes, t.starts, t.locations, t.attention, step)


def plain(t):
    batch, queries, heads, levels, points = t.attention.shape
    channels = t.value.shape[-1]
    out = torch.zeros(batch, queries, heads, channels, dtype=torch.float64)
    for b, q, m, level, p in product(*map(range, t.attention.shape)):
        h, w = t.shapes[level].tolist()
        x, y = (t.locations[b, q, m, level, p] * torch.tensor([w, h], device=t.value.device) - 0.5).tolist()
        for row, column in product((math.floor(y), math.floor(y) + 1), (math.floor(x), math.floor(x) + 1)):
            if 0 <= row < h and 0 <= column < w:
                weight = (1 - abs(y - row)) * (1 - abs(x - column)) * t.attention[b, q, m, level, p].item()
                out[b, q, m] += weight * t.value[b, t.starts[level] + row * w + column, m].cpu()
    return out.flatten(2)


@pytest.mark.parametrize('shapes', [((3, 5), (2, 2)), ((1, 1),), ((4, 3), (1, 7), (2, 1))])
def test_forward(stand_in, device, shapes):
    t = make(shapes, device=device)
    torch.testing.assert_close(run(t).cpu(), plain(t))


def test_gradient(stand_in, device):
    t = make(device=device)
    leaves = [tensor.requires_grad_() for tensor in (t.value, t.locations, t.attention)]
    assert torch.autograd.gradcheck(lambda v, x, a: attend(v, t.shapes, t.starts, x, a, 64), leaves)


@pytest.mark.parametrize('limit', [1, 100, 400])
def test_in_parts_and_against_grid_sample(stand_in, monkeypatch, limit):
    monkeypatch.setattr(ms_deform_attn, 'TAPS', limit)
    t = make(((6, 9), (3, 5)), queries=11, batch=3)
    leaves = [tensor.requires_grad_() for tensor in (t.value, t.locations, t.attention)]
    got, want = run(t), multi_scale_deformable_attn_pytorch(t.value, t.shapes, t.locations, t.attention)
    torch.testing.assert_close(got, want)
    grad = torch.randn_like(got)
    for a, b in zip(torch.autograd.grad(got, leaves, grad), torch.autograd.grad(want, leaves, grad)):
        torch.testing.assert_close(a, b)


def test_half_precision_positions_are_computed_in_float(stand_in, device):
    t = make(((64, 64),), device=device, dtype=torch.float16, channels=4)
    out = run(t)
    assert out.dtype == torch.float16
    torch.testing.assert_close(out.cpu().double(), plain(t), atol=5e-3, rtol=5e-3)


@pytest.mark.parametrize('batch, queries', [(0, 4), (2, 0)])
def test_empty(stand_in, device, batch, queries):
    t = make(batch=batch, queries=queries, device=device)
    t.value.requires_grad_()
    out = run(t)
    assert out.shape == (batch, queries, 6)
    out.sum().backward()
    assert not t.value.grad.any()


def test_module_of_mmcv(stand_in, monkeypatch, device):
    """The same through the extension (the layer's path on a GPU) as through grid_sample (on a CPU)."""
    from mmcv.ops import MultiScaleDeformableAttention

    layer = (
        MultiScaleDeformableAttention(embed_dims=16, num_heads=2, num_levels=2, dropout=0.0).to(device).eval()
    )
    shapes = torch.tensor([[4, 6], [2, 3]], device=device)
    starts = torch.tensor([0, 24], device=device)
    query, value = torch.randn(5, 2, 16, device=device), torch.randn(30, 2, 16, device=device)
    kwargs = {
        'value': value,
        'reference_points': torch.rand(2, 5, 2, 2, device=device),
        'spatial_shapes': shapes,
        'level_start_index': starts,
    }
    want = layer(query, **kwargs)

    def through_extension(value, shapes, locations, attention):
        return attend(value, shapes, starts, locations, attention, 64)

    monkeypatch.setattr(
        'mmcv.ops.multi_scale_deform_attn.multi_scale_deformable_attn_pytorch', through_extension
    )
    torch.testing.assert_close(layer(query, **kwargs), want)
