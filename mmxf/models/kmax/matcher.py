"""Matching of segments to queries by mask similarity times class probability (MaX-DeepLab, arXiv:2012.00759, equation 9)."""
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

EPS = 1e-5


class Match(NamedTuple):
    """What the losses need to know of one image's matching. P = pixels of the target map, void pixels are -1."""
    pixel_query: Tensor      # (P,) int64: query that must own the pixel
    query_label: Tensor      # (Q,) int64: class that the query must name; K for unmatched ones
    query_area: Tensor       # (Q,) float: pixels of the matched segment, 0 for unmatched ones
    class_weight: Tensor     # (Q,) float: weight of the class term
    mask_weight: Tensor      # (Q,) float: weight of the dice term


@torch.no_grad()
def match(mask_logits: Tensor, class_logits: Tensor, labels: Tensor, segments: Tensor, min_weight: float) -> Match:
    """Matches the N segments of one image to its Q queries, one to one.

    The segments partition the labelled pixels, so the overlap of every query with every segment is one segmented sum of the
    queries' probabilities over pixels: no (N, H, W) masks are made.

    Args:
        mask_logits: (Q, h, w) float32, of the final prediction.
        class_logits: (Q, K + 1) float32.
        labels: (N,) int64 classes of the segments.
        segments: (h, w) int64, segment that owns each pixel, -1 = void.
        min_weight: least weight of a class or dice term.

    Raises:
        RuntimeError: when the predictions hold NaN or infinity.
    """
    num_queries, num_classes = class_logits.shape[0], class_logits.shape[1] - 1
    num_segments = labels.numel()
    owner = torch.where(segments < 0, num_segments, segments).flatten()                  # (P,), N = void
    probs = mask_logits.flatten(1).t().softmax(-1)                                       # (P, Q)
    overlap = probs.new_zeros(num_segments + 1, num_queries).index_add_(0, owner, probs)     # (N + 1, Q)
    area = torch.bincount(owner, minlength=num_segments + 1).to(probs)                   # (N + 1,)

    inside = overlap[:-1]                                                                # (N, Q)
    similarity = inside / ((inside.sum(0) + area[:-1, None]) / 2 + EPS)
    probability = class_logits.softmax(-1)[:, labels].t()                                # (N, Q)
    score = (similarity * probability).cpu()
    if not torch.isfinite(score).all():
        raise RuntimeError('the predictions to match hold NaN or infinity: the training diverged before this step')
    segment, query = (torch.as_tensor(i, device=probs.device) for i in linear_sum_assignment(-score.numpy()))

    query_of_segment = owner.new_full((num_segments + 1,), -1)
    query_of_segment[segment] = query
    query_label = labels.new_full((num_queries,), num_classes)
    query_label[query] = labels[segment]
    query_area = probs.new_zeros(num_queries)
    query_area[query] = area[segment]
    # Unmatched queries: weighted by how much of them lies on void in the class term, not at all in the dice term.
    void = overlap[query_of_segment < 0].sum(0)
    class_weight = void / (overlap.sum(0) + EPS)
    class_weight[query] = similarity[segment, query]
    mask_weight = probs.new_zeros(num_queries)
    mask_weight[query] = probability[segment, query].clamp(min=min_weight)
    return Match(query_of_segment[owner], query_label, query_area, class_weight.clamp(min=min_weight), mask_weight)
