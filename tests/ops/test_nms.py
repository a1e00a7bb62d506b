"""nms and soft_nms against loops over single boxes."""
import math

import numpy as np
import pytest
import torch
from mmcv.ops import batched_nms, nms, soft_nms

from mmxf.ops import nms as nms_module


def random_boxes(n: int, extent: float = 60., size: float = 30., device='cpu', grid: bool = False):
    corner = torch.rand(n, 2) * extent
    boxes = torch.cat([corner, corner + torch.rand(n, 2) * size], 1)
    if grid:
        boxes = boxes.round()
    return boxes.to(device), torch.rand(n).to(device)


def iou(a, b, offset: float) -> float:
    """In float32, as every implementation computes it."""
    f = np.float32
    a, b = [f(v) for v in a], [f(v) for v in b]
    w = max(f(0), min(a[2], b[2]) - max(a[0], b[0]) + f(offset))
    h = max(f(0), min(a[3], b[3]) - max(a[1], b[1]) + f(offset))
    inter = w * h
    union = (a[2] - a[0] + f(offset)) * (a[3] - a[1] + f(offset)) + \
        (b[2] - b[0] + f(offset)) * (b[3] - b[1] + f(offset)) - inter
    return inter / union if union else math.nan


def plain_nms(boxes, scores, threshold, offset):
    boxes, order = boxes.tolist(), sorted(range(len(scores)), key=lambda i: -scores[i].item())
    kept = []
    for i in order:
        if not any(iou(boxes[k], boxes[i], offset) > np.float32(threshold) for k in kept):
            kept.append(i)
    return kept


def plain_soft_nms(boxes, scores, threshold, sigma, min_score, method, offset):
    """Pool of (box, score, index): the best leaves, the others decay, the weak are replaced by the last.

    Where the first of equals stands depends on this bookkeeping, so it is mmcv's, step for step.
    """
    pool = [[b, np.float32(s), i] for i, (b, s) in enumerate(zip(boxes.tolist(), scores.tolist()))]
    out = []
    while pool:
        at = max(range(len(pool)), key=lambda i: pool[i][1])
        pool[0], pool[at] = pool[at], pool[0]
        best = pool.pop(0)
        out.append(best)
        i = 0
        while i < len(pool):
            entry = pool[i]
            overlap = iou(best[0], entry[0], offset)
            if method == 'gaussian':
                entry[1] *= np.float32(math.exp(-overlap ** 2 / sigma))
            elif overlap >= np.float32(threshold):
                entry[1] *= np.float32(0 if method == 'naive' else 1 - overlap)
            if entry[1] < np.float32(min_score):
                pool[i] = pool[-1]
                pool.pop()
            else:
                i += 1
    return [(*b, s) for b, s, _ in out], [i for *_, i in out]


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.5, 0.9])
@pytest.mark.parametrize('n', [1, 2, 37, 150])
def test_nms(stand_in, device, n, threshold, offset):
    boxes, scores = random_boxes(n, device=device)
    dets, kept = nms(boxes, scores, threshold, offset=offset)
    assert kept.tolist() == plain_nms(boxes, scores, threshold, offset)
    assert torch.equal(dets, torch.cat([boxes[kept], scores[kept, None]], 1))


@pytest.mark.parametrize('block', [1, 3, 16])
def test_nms_across_blocks(stand_in, monkeypatch, block):
    """Boxes suppress one another within a block and from one block to the next."""
    monkeypatch.setattr(nms_module, 'BLOCK', block)
    monkeypatch.setattr(nms_module, 'PAIRS', {'cpu': 5})
    boxes, scores = random_boxes(90, extent=30)
    kept = nms(boxes, scores, 0.4)[1].tolist()
    assert kept == plain_nms(boxes, scores, 0.4, 0)
    assert 5 < len(kept) < 80


def test_nms_chain(stand_in):
    """Each box overlaps the next: every second one stays, however long the chain."""
    x = torch.arange(600.)
    boxes = torch.stack([x, 0 * x, x + 2, 0 * x + 1], 1)   # IoU with the neighbour 1/3
    kept = nms(boxes, torch.linspace(1, .1, 600), 0.3)[1]
    assert kept.tolist() == list(range(0, 600, 2))


def test_nms_threshold_is_strict_and_ties_keep_order(stand_in):
    boxes = torch.tensor([[0., 0., 2., 1.], [0., 0., 1., 1.], [0., 0., 2., 1.]])  # IoU 1/2 exactly, and 1
    scores = torch.tensor([.5, .5, .5])
    assert nms(boxes, scores, 0.5)[1].tolist() == [0, 1]
    assert nms(boxes, scores, 0.49)[1].tolist() == [0]


def test_nms_boxes_without_area_do_not_suppress(stand_in):
    boxes = torch.tensor([[1., 1., 1., 1.]] * 3)
    assert nms(boxes, torch.tensor([.1, .2, .3]), 0.0)[1].tolist() == [2, 1, 0]


def test_nms_options_of_mmcv(stand_in):
    boxes, scores = random_boxes(80)
    kept = nms(boxes, scores, 0.5, score_threshold=0.4, max_num=5)[1]
    want = [i for i in plain_nms(boxes, scores, 0.5, 0) if scores[i] > 0.4][:5]
    assert kept.tolist() == want
    as_numpy = nms(boxes.numpy(), scores.numpy(), 0.5)
    assert isinstance(as_numpy[0], np.ndarray) and as_numpy[1].tolist() == nms(boxes, scores, 0.5)[1].tolist()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_nms_other_types(stand_in, device, dtype):
    boxes, scores = random_boxes(40, device=device, grid=True)
    kept = nms(boxes.to(dtype), scores.to(dtype), 0.45)[1]
    assert kept.tolist() == plain_nms(boxes, scores.to(dtype), 0.45, 0)


def test_empty(stand_in, device):
    boxes, scores = torch.zeros(0, 4, device=device), torch.zeros(0, device=device)
    assert nms(boxes, scores, 0.5)[0].shape == (0, 5)
    dets, kept = soft_nms(boxes, scores, 0.5)
    assert dets.shape == (0, 5) and kept.shape == (0,) and kept.dtype == torch.int64


@pytest.mark.parametrize('split', [10000, 20])
@pytest.mark.parametrize('kind', ['nms', 'soft_nms'])
def test_batched_nms_keeps_classes_apart(stand_in, kind, split):
    boxes, scores = random_boxes(60, extent=20)
    labels = torch.randint(0, 4, (60,))
    dets, kept = batched_nms(boxes, scores, labels, {'type': kind, 'iou_threshold': 0.4, 'split_thr': split})
    for label in range(4):
        own = (labels == label).nonzero().squeeze(1)
        if kind == 'nms':
            want = own[plain_nms(boxes[own], scores[own], 0.4, 0)].tolist()
        else:
            want = own[plain_soft_nms(boxes[own], scores[own], 0.4, .5, 1e-3, 'linear', 0)[1]].tolist()
        assert [k for k in kept.tolist() if labels[k] == label] == want
    assert (dets[:-1, 4] >= dets[1:, 4]).all()


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
@pytest.mark.parametrize('n, min_score', [(1, 1e-3), (2, 0.9), (40, 1e-3), (70, 0.3)])
@pytest.mark.parametrize('ties', [False, True])
def test_soft_nms(stand_in, device, ties, method, n, min_score, offset):
    boxes, scores = random_boxes(n, device=device)
    if ties:
        scores = (scores * 5).ceil() / 5
    before = boxes.clone()
    dets, kept = soft_nms(boxes, scores, 0.3, 0.5, min_score, method, offset)
    rows, indices = plain_soft_nms(boxes, scores, 0.3, 0.5, min_score, method, offset)
    assert kept.tolist() == indices
    torch.testing.assert_close(dets.cpu(), torch.tensor(rows))
    assert torch.equal(boxes, before) and dets.device == boxes.device


def test_soft_nms_unknown_method(stand_in):
    boxes, scores = random_boxes(3)
    with pytest.raises(ValueError, match='method must be'):
        stand_in.softnms(
            boxes, scores, torch.empty(3, 5), iou_threshold=0.5, sigma=0.5, min_score=0.1, method=3, offset=0
        )
