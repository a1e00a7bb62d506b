"""Panoptic quality from one histogram of (ground truth segment, predicted segment) per image.

Panoptic Segmentation (Kirillov et al., CVPR 2019, arXiv:1801.00868), section 4: a predicted and a true
segment of one class match when their IoU exceeds 0.5; per class PQ = sum of matched IoU / (TP + FP / 2 +
FN / 2) = SQ x RQ, then averaged over classes. The rules where the paper leaves room are those of the official
panopticapi, whose numbers these functions give:

- void (true id 0) does not count against a prediction: it is taken out of the union, and an unmatched
  prediction is dropped when more than half of it lies on void plus the crowd segment of its class;
- true crowd segments never match and are never missed; of several crowd segments of a class in an image the
  last one listed is used;
- the area of a true segment is the one its annotation states.

Ids are labels of segments within an image, labels are contiguous class indices.
"""
from dataclasses import dataclass, field

import numpy as np

from .rgb_png import pixel_loops


@dataclass
class Segments:
    """The segments of one image, S of them.

    Attributes:
        ids: (S,) int64, unique.
        labels: (S,) int64, class index; -1 for a true segment of a class that is not scored.
        iscrowd: (S,) bool, or None for no crowds.
        areas: (S,) int64 pixels, or None to count them.
    """
    ids: np.ndarray
    labels: np.ndarray
    iscrowd: np.ndarray | None = None
    areas: np.ndarray | None = None

    _found: tuple[np.ndarray, np.ndarray] | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(set(self.ids.tolist())) != self.ids.size:
            raise ValueError(f'segment ids repeat: {self.ids.tolist()}')

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Positions of ``ids``, as :func:`find_ids` gives them; those of the array asked for last are kept."""
        if self._found is None or self._found[0] is not ids:
            self._found = ids, find_ids(self.ids, ids)
        return self._found[1]


@dataclass
class ClassCounts:
    """Sums over images for each of K classes: tp, fp, fn (K,) int64; iou (K,) float64, over matches."""
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    iou: np.ndarray

    @classmethod
    def zeros(cls, num_classes: int) -> 'ClassCounts':
        return cls(*(np.zeros(num_classes, np.int64) for _ in range(3)), np.zeros(num_classes))

    def __iadd__(self, other: 'ClassCounts') -> 'ClassCounts':
        for name in ('tp', 'fp', 'fn', 'iou'):
            getattr(self, name).__iadd__(getattr(other, name))
        return self


def segment_histogram(gt: np.ndarray, pred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which pairs of ids share pixels, and how many.

    Segments are long runs along rows, so runs are found first and only their heads are grouped: thousands of
    items instead of hundreds of thousands, at the same result for any image.

    Args:
        gt: (H, W) integer ids, 0 <= id < 2**31.
        pred: (H, W), likewise.

    Returns:
        gt_ids, pred_ids, pixels: (P,) int64 each, one entry for each pair that occurs, in order.
    """
    if gt.shape != pred.shape:
        raise ValueError(f'ground truth is {_size(gt)} (width x height), prediction is {_size(pred)}')
    gt, pred = gt.ravel(), pred.ravel()
    if not gt.size:
        return (np.zeros(0, np.int64), ) * 3
    loops = pixel_loops()
    if loops and gt.dtype.itemsize == pred.dtype.itemsize == 4:
        found = loops.count_pairs(*(np.ascontiguousarray(ids).view(np.uint32) for ids in (gt, pred)))
        if found:
            return found
    change = gt[1:] != gt[:-1]
    change |= pred[1:] != pred[:-1]
    heads = np.flatnonzero(change)
    heads += 1
    heads = np.concatenate(([0], heads))
    lengths = np.diff(heads, append=gt.size)
    codes = gt[heads].astype(np.int64) << 32 | pred[heads].astype(np.int64)
    speaker = _speakers(codes)
    pixels = np.bincount(speaker, weights=lengths).astype(np.int64)
    speaker = np.flatnonzero(pixels)  # one run of each pair
    speaker = speaker[np.argsort(codes[speaker])]
    return codes[speaker] >> 32, codes[speaker] & 0xFFFFFFFF, pixels[speaker]


HASH_BITS = 18


def _speakers(codes: np.ndarray) -> np.ndarray:
    """(N,) for each of ``codes`` the index of one that equals it, the same for all equals.

    The last to write its index into a hash table speaks for all that share its slot: no sorting, which takes most of
    np.unique's time. An image has some hundred pairs; where two share a slot nevertheless, codes are sorted after all.
    """
    slots = (codes.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - HASH_BITS)
    table = np.empty(1 << HASH_BITS, np.int32)
    table[slots] = np.arange(codes.size, dtype=np.int32)
    speaker = table[slots]
    if (codes[speaker] == codes).all():
        return speaker
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    return first[group]


def _size(array: np.ndarray) -> str:
    return 'x'.join(str(n) for n in array.shape[::-1])


def find_ids(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Position of each of ``ids`` in ``table`` (unique, any order), -1 where it is absent."""
    if not table.size:
        return np.full(ids.shape, -1)
    order = table.argsort()
    place = order.take(table.searchsorted(ids, sorter=order), mode='clip')
    place[table[place] != ids] = -1
    return place


def without_pixels(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Those of ``table`` that no entry of ``place``, of :func:`find_ids`, points at."""
    absent = np.ones(table.size + 1, bool)
    absent[place] = False                  # -1 is the last one
    return table[absent[:-1]]


def count_matches(histogram: tuple[np.ndarray, np.ndarray, np.ndarray], gt: Segments, pred: Segments,
                  num_classes: int) -> ClassCounts:
    """Matches, false positives and misses of one image.

    Args:
        histogram: of :func:`segment_histogram`.
        gt: true segments. Pixels with an id that is neither 0 nor listed are neither segment nor void.
        pred: predicted segments, each with at least one pixel and a label in 0..num_classes - 1; pixels of
            other ids are predicted as nothing.
    """
    gt_ids, pred_ids, pixels = histogram
    g, p = gt.find(gt_ids), pred.find(pred_ids)
    crowd = gt.iscrowd if gt.iscrowd is not None else np.zeros(gt.ids.size, bool)
    gt_area = gt.areas if gt.areas is not None else _sum(g, pixels, gt.ids.size)
    pred_area = _sum(p, pixels, pred.ids.size)
    void = gt_ids == 0
    on_void = _sum(p[void], pixels[void], pred.ids.size)

    both = np.flatnonzero((g >= 0) & (p >= 0))
    g, p, pixels = g[both], p[both], pixels[both]
    rival = ~crowd[g] & (gt.labels[g] == pred.labels[p])
    gm, pm, inter = g[rival], p[rival], pixels[rival]
    with np.errstate(divide='ignore', invalid='ignore'):  # areas stated wrongly may leave no union
        iou = inter / (pred_area[pm] + gt_area[gm] - inter - on_void[pm])
    match = iou > 0.5
    gm, pm, iou = gm[match], pm[match], iou[match]

    missed = ~crowd & (gt.labels >= 0)
    missed[gm] = False

    ignored = on_void
    if crowd.any():
        crowd_of = np.full(num_classes, -1)
        scored_crowds = np.flatnonzero(crowd & (gt.labels >= 0))
        crowd_of[gt.labels[scored_crowds]] = scored_crowds  # the last one listed stays
        on_crowd = crowd_of[pred.labels[p]] == g
        ignored = on_void + _sum(p[on_crowd], pixels[on_crowd], pred.ids.size)
    wrong = ignored <= 0.5 * pred_area
    wrong[pm] = False

    matched_labels = gt.labels[gm]
    return ClassCounts(
        tp=np.bincount(matched_labels, minlength=num_classes),
        fp=np.bincount(pred.labels[wrong], minlength=num_classes),
        fn=np.bincount(gt.labels[missed], minlength=num_classes),
        iou=np.bincount(matched_labels, weights=iou, minlength=num_classes))


def _sum(place: np.ndarray, pixels: np.ndarray, size: int) -> np.ndarray:
    """(size,) whole float64: the pixels of each place; those of place -1 are left out."""
    return np.bincount(place + 1, weights=pixels, minlength=size + 1)[1:]


def quality(counts: ClassCounts) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """PQ, SQ, RQ of each class, (K,) float64 in 0..1, 0 where undefined; and (K,) bool, whether it occurs."""
    weight = counts.tp + 0.5 * counts.fp + 0.5 * counts.fn
    seen = weight > 0
    some, hits = np.maximum(weight, 0.5), np.maximum(counts.tp, 1)
    return counts.iou / some, counts.iou / hits, counts.tp / some, seen


def summarize(counts: ClassCounts, category_ids: list, names: list[str], isthing: np.ndarray) -> dict:
    """The results panopticapi gives, in 0..1: ``All``, ``Things``, ``Stuff`` (pq, sq, rq, and n, the number
    of classes that occur) and ``per_class``.

    Args:
        counts: K classes.
        category_ids: K ids, the keys of ``per_class``.
        names: K class names.
        isthing: (K,) bool.
    """
    pq, sq, rq, seen = quality(counts)
    results = {}
    for group, members in (('All', seen), ('Things', seen & isthing), ('Stuff', seen & ~isthing)):
        n = int(members.sum())
        results[group] = {key: float(value[members].sum() / max(n, 1))
                          for key, value in (('pq', pq), ('sq', sq), ('rq', rq))}
        results[group]['n'] = n
    results['per_class'] = {
        category_id: {'name': names[k], 'isthing': bool(isthing[k]),
                      'pq': float(pq[k]), 'sq': float(sq[k]), 'rq': float(rq[k]),
                      'tp': int(counts.tp[k]), 'fp': int(counts.fp[k]), 'fn': int(counts.fn[k]),
                      'iou': float(counts.iou[k])}
        for k, category_id in enumerate(category_ids)
    }
    return results
