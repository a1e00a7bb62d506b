"""From class and mask logits to panoptic, instance and semantic results (DeepLab2's MaX-DeepLab post-processor, as in the
official code).

The official code resizes all Q mask logits to the padded input and again to the original image, and keeps the softmax over
queries at that size: 128 x 640 x 480 floats, several times over. Here both resizes are one (they are linear), done strip by
strip, and of the softmax only what decides is kept: who claims a pixel, which at the usual thresholds are one or two queries.
"""
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

STRIP_ELEMENTS = 1 << 20    # logits of a strip: few enough to stay in a processor's cache
BAND_ELEMENTS = 1 << 24     # ... with only their columns resized
SAFE_RANGE = 80.            # exp(-80) is still a normal float32


@dataclass
class Claims:
    """Who claims which pixel of an image of P = H * W pixels with a probability above the threshold."""
    winner: Tensor        # (P,) int64: the most probable query, -1 = none above the threshold
    doubles: Tensor       # (D,) int64: pixels that another query claims as well, one entry for each such claim
    second: Tensor        # (D,) int64: that query
    count: Tensor         # (Q,) int64: claimed pixels
    total: Tensor         # (Q,) float32: sum of the claims' probabilities
    semantic: Tensor | None = field(default=None)    # (P,) int64: most probable class, if asked for


def resize_matrix(source: int, padded: int, real: int, target: int, align_corners: bool, device, dtype) -> Tensor:
    """(target, source): resize of source positions to `padded`, crop to the first `real`, resize to `target`, as one map."""
    eye = torch.eye(source, dtype=torch.float64, device=device)[:, None]                        # (source, 1, source)

    def resize(x: Tensor, size: int) -> Tensor:
        x = x[:, :, None].expand(-1, -1, 2, -1)
        return F.interpolate(x, size=(2, size), mode='bilinear', align_corners=align_corners)[:, :, 0]

    return resize(resize(eye, padded)[..., :real], target)[:, 0].t().to(dtype)


def _strips(mask_logits: Tensor, padded: Sequence[int], real: Sequence[int], target: Sequence[int]):
    """Yields (rows, logits (n, Q, W)) of the resized map, strip of rows by strip of rows, all in the same memory.

    Columns are resized for a band of many strips at once, so that few, large products are left; then a row of a strip is a
    mixture of a few of the band's rows.
    """
    Q, h, w = mask_logits.shape
    H, W = target
    align_corners = padded[1] % 2 == 1
    row_map = resize_matrix(h, padded[0], real[0], H, align_corners, mask_logits.device, mask_logits.dtype)
    col_map = resize_matrix(w, padded[1], real[1], W, align_corners, mask_logits.device, mask_logits.dtype)
    by_row = mask_logits.transpose(0, 1).contiguous()                                           # (h, Q, w)
    blocks, line = list(_blocks(col_map)), Q * W
    height = max(1, min(H, STRIP_ELEMENTS // line))
    _, low, high = _trim(row_map)
    per_band = height * max(1, BAND_ELEMENTS // line * H // (high - low) // height)             # rows of the result
    memory = mask_logits.new_empty(height, line)
    for top in range(0, H, per_band):
        mixing, low, high = _trim(row_map[top:top + per_band])
        band = mask_logits.new_empty(high - low, Q, W)
        flat, wide, column = by_row[low:high].flatten(0, 1), band.flatten(0, 1), 0
        for block, left, right in blocks:
            torch.mm(flat[:, left:right], block, out=wide[:, column:column + block.shape[1]])
            column += block.shape[1]
        for first in range(0, len(mixing), height):
            part, low, high = _trim(mixing[first:first + height])
            out = memory[:len(part)]
            torch.mm(part, band[low:high].flatten(1), out=out)
            yield slice(top + first, top + first + len(part)), out.view(-1, Q, W)


def _trim(matrix: Tensor) -> tuple[Tensor, int, int]:
    """The columns of a banded matrix that are not all zero."""
    used = (matrix != 0).any(0).nonzero()
    low, high = int(used[0]), int(used[-1]) + 1
    return matrix[:, low:high], low, high


def _blocks(matrix: Tensor, size: int = 64):
    """A banded map (target, source) as dense blocks (sources, targets): a bilinear row has only a few entries."""
    for rows in matrix.split(size):
        part, low, high = _trim(rows)
        yield part.t().contiguous(), low, high


def collect_claims(mask_logits: Tensor, threshold: float, padded: Sequence[int], real: Sequence[int],
                   target: Sequence[int], class_probs: Tensor | None = None) -> Claims:
    """Softmax over queries at the size of the original image, reduced to the claims.

    Args:
        mask_logits: (Q, h, w) float32 of the padded input.
        threshold: a query claims a pixel where its probability exceeds this.
        padded, real, target: (H, W) of the padded input, of the image within it, of the result.
        class_probs: (Q, K); with it the semantic result is made as well.
    """
    Q, size = mask_logits.shape[0], tuple(target)
    number, index, value = (mask_logits.new_empty(size) for _ in range(3))                      # (H, W) each
    semantic = None if class_probs is None else torch.empty(size, dtype=torch.long, device=mask_logits.device)
    low, high = mask_logits.aminmax()
    one_shift = bool(high - low < SAFE_RANGE)
    if one_shift:       # resizing only mixes logits, so one shift keeps every pixel's softmax in range
        mask_logits = mask_logits - high
    # With the marks of who claims a pixel, one product counts the claims and, where it is one, names its query.
    ones_and_index = torch.stack([torch.ones(Q), torch.arange(Q)]).to(mask_logits)              # (2, Q)
    shared, marks = [], None
    for rows, logits in _strips(mask_logits, padded, real, target):
        probs = (logits if one_shift else logits.sub_(logits.amax(1, keepdim=True))).exp_()     # (n, Q, W), not yet divided
        norm = probs.sum(1, keepdim=True)                                                       # by (n, 1, W)
        if semantic is not None:
            semantic[rows] = (class_probs.t() @ probs).argmax(1)                                # the norm changes no order
        marks = torch.empty_like(probs) if marks is None or marks.shape != probs.shape else marks
        torch.gt(probs, threshold * norm, out=marks)
        number[rows], index[rows] = (ones_and_index @ marks).unbind(1)
        query = index[rows].long().clamp_(max=Q - 1)[:, None]                                   # (n, 1, W)
        value[rows] = (probs.gather(1, query) / norm)[:, 0]
        y, x = (number[rows] > 1).nonzero(as_tuple=True)                                        # several claims: few pixels
        place, query = marks[y, :, x].nonzero(as_tuple=True)
        y, x = y[place], x[place]
        shared.append(((y + rows.start) * size[1] + x, query, probs[y, query, x] / norm[y, 0, x]))
    number, index, value = number.flatten(), index.flatten(), value.flatten()
    pixel, query, share = (torch.cat(parts) for parts in zip(*shared))
    alone = index.long().masked_fill_(number != 1, Q)                                            # Q: nobody, or several
    count = torch.bincount(alone, minlength=Q + 1)[:Q] + torch.bincount(query, minlength=Q)
    total = _sums(alone, value, Q) + _sums(query, share, Q)
    winner = alone.masked_fill_(alone == Q, -1)
    contested, place = pixel.unique(return_inverse=True)
    winner[contested] = _winners(query, place, share, len(contested))
    other = winner[pixel] != query
    return Claims(winner, pixel[other], query[other], count, total, None if semantic is None else semantic.flatten())


def _sums(index: Tensor, values: Tensor, length: int) -> Tensor:
    """(length,): sums of the values (N,) float32 that have each index (N,); those beyond the length are left out."""
    return values.new_zeros(length + 1).index_add_(0, index, values)[:length]


def _winners(query: Tensor, pixel: Tensor, value: Tensor, num_pixels: int) -> Tensor:
    """Of claims (query, pixel, value), each (C,), the query of each pixel's largest, the lowest of equal ones."""
    best = value.new_zeros(num_pixels).scatter_reduce_(0, pixel, value, 'amax')
    top = value == best[pixel]
    none = torch.iinfo(query.dtype).max
    return query.new_full((num_pixels,), none).scatter_reduce_(0, pixel[top], query[top], 'amin')


def panoptic_map(claims: Claims, class_probs: Tensor, things: Sequence[int], *, thing_threshold: float,
                 stuff_threshold: float, overlap_threshold: float, class_exponent: float,
                 mask_exponent: float) -> tuple[Tensor, list[dict]]:
    """Queries in the order of their scores take their free pixels.

    A query stays when its class score exceeds the threshold of its kind and more than `overlap_threshold` of its pixels are still
    free; stuff of one class becomes one segment.

    Args:
        claims: of the image.
        class_probs: (Q, K) without void.
        things: class indices that are things.
        thing_threshold, stuff_threshold, overlap_threshold: see above.
        class_exponent, mask_exponent: order = class score ** a * mean mask probability ** b.

    Returns:
        (P,) int64 segment ids from 1, 0 = nothing, and for each id a dict(id, label, is_thing, score).
    """
    scores, labels = class_probs.max(-1)
    quality = claims.total / claims.count.clamp(min=1)
    order_score = scores ** class_exponent * quality ** mask_exponent
    order = torch.argsort(order_score, descending=True).tolist()
    count, scores, labels = claims.count.tolist(), scores.tolist(), labels.tolist()
    order_score = order_score.tolist()
    # Only pixels that several queries claim depend on who comes first; each query's entries among them:
    contested, place = claims.doubles.unique(return_inverse=True)
    claimant = torch.cat([claims.winner[contested], claims.second])
    place = torch.cat([torch.arange(len(contested), device=place.device), place])
    by_query = claimant.argsort()
    entries = place[by_query].split(torch.bincount(claimant, minlength=len(count)).tolist())
    owner = torch.zeros_like(contested)
    taken = torch.zeros_like(contested, dtype=torch.bool)

    things, segment_of, infos, stuff = set(things), [0] * len(count), [], {}
    for query in order:
        is_thing, mine = labels[query] in things, entries[query]
        if scores[query] <= (thing_threshold if is_thing else stuff_threshold):
            continue
        if count[query] - int(taken[mine].sum()) <= count[query] * overlap_threshold:
            continue
        if is_thing or labels[query] not in stuff:
            infos.append(dict(id=len(infos) + 1, label=labels[query], is_thing=is_thing, score=order_score[query]))
            stuff.setdefault(labels[query], len(infos))
        segment_of[query] = len(infos) if is_thing else stuff[labels[query]]
        mine = mine[~taken[mine]]
        owner[mine], taken[mine] = segment_of[query], True

    segments = torch.tensor(segment_of + [0], device=claims.winner.device)[claims.winner]    # the last entry serves -1
    segments[contested] = owner
    return segments, infos


def instances(claims: Claims, class_probs: Tensor, things: Sequence[int], size: Sequence[int],
              top_k: int) -> dict[str, Tensor]:
    """The top_k (query, class) pairs by class probability, of which things stay.

    Returns:
        masks (N, H, W) bool, labels (N,), scores (N,) = class probability x mean mask probability, bboxes (N, 4) in pixels,
        x1 y1 x2 y2 with the last pixel included, zeros for an empty mask.
    """
    num_classes = class_probs.shape[1]
    scores, pair = class_probs.flatten().topk(min(top_k, class_probs.numel()), sorted=False)
    query, labels = torch.div(pair, num_classes, rounding_mode='floor'), pair % num_classes
    keep = torch.isin(labels, torch.as_tensor(sorted(things), device=labels.device))
    scores, query, labels = scores[keep], query[keep], labels[keep]
    masks = claims.winner[None] == query[:, None]                                              # (N, P)
    row, entry = (claims.second[None] == query[:, None]).nonzero(as_tuple=True)
    masks[row, claims.doubles[entry]] = True
    masks = masks.view(-1, *size)
    quality = claims.total / (claims.count + 1e-6)
    return dict(masks=masks, labels=labels, scores=scores * quality[query], bboxes=_boxes(masks))


def _boxes(masks: Tensor) -> Tensor:
    """Tight boxes (N, 4) of masks (N, H, W)."""
    boxes = masks.new_zeros((len(masks), 4), dtype=torch.float32)
    for axis, (low, high) in ((2, (1, 3)), (1, (0, 2))):
        line = masks.any(axis)                                                                 # (N, length)
        length = line.shape[1]
        boxes[:, low] = line.float().argmax(1).float()
        boxes[:, high] = (length - line.flip(1).float().argmax(1)).float()
    boxes[~masks.flatten(1).any(1)] = 0
    return boxes
