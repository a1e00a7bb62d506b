"""Panoptic maps out of data samples."""

import numpy as np

from .panoptic import INSTANCE_OFFSET, as_map


def encode_index(index: np.ndarray, labels, num_classes: int) -> np.ndarray:
    """Index map (H, W) (-1 = void) and labels (N,) -> map in mmdet's encoding, instance ids from 1 per
    class.
    """
    count: dict[int, int] = {}
    table = np.full(len(labels) + 1, num_classes, np.int64)
    for i, label in enumerate(int(x) for x in labels):
        count[label] = count.get(label, 0) + 1
        table[i] = label + count[label] * INSTANCE_OFFSET
    return table[index]  # -1 picks the last entry, void


def sample_panoptic(sample, num_classes: int, shape: tuple[int, int] | None = None) -> np.ndarray | None:
    """Ground truth of a data sample as (H, W) map in mmdet's encoding, or None where it holds none.

    Reads ``gt_panoptic_index`` with ``gt_instances.labels`` (taken at every s-th pixel and blown up to
    ``shape`` here), or mmdet's own ``gt_panoptic_seg``, or its ``gt_instances.masks`` over ``gt_sem_seg``.
    """
    if 'gt_panoptic_index' in sample:
        labels = sample.gt_instances.labels.tolist()
        index = as_map(sample.gt_panoptic_index.data)
        if shape is not None and index.shape != tuple(shape):
            # The index was taken at [::s, ::s]: entry i is pixel i * s, and the best guess for its
            # neighbours.
            stride = -(-shape[0] // index.shape[0])
            rows, columns = (
                np.minimum((np.arange(n) + stride // 2) // stride, m - 1) for n, m in zip(shape, index.shape)
            )
            index = index[rows[:, None], columns]
        return encode_index(index, labels, num_classes)
    instances = sample.gt_instances if 'gt_instances' in sample else None
    masks = instances.masks if instances is not None and 'masks' in instances else None
    if 'gt_sem_seg' not in sample and masks is None:
        return None
    if 'gt_sem_seg' in sample:
        out = as_map(sample.gt_sem_seg.sem_seg)
        out = np.where((out < 0) | (out >= num_classes), num_classes, out + INSTANCE_OFFSET)
    else:
        out = np.full(tuple(masks.masks.shape[-2:]), num_classes, np.int64)
    if masks is not None:
        for i, (mask, label) in enumerate(zip(masks.masks, instances.labels.tolist())):
            out[np.asarray(mask, bool)] = label + (i + 2) * INSTANCE_OFFSET
    return out
