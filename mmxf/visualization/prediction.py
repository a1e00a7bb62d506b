"""The picture of a prediction, whatever the task."""
from collections.abc import Mapping

import cv2
import numpy as np

from .colors import check_palette, instance_shade
from .contact_sheet import TILE, draw_boxes
from .depth import draw_depth
from .panoptic import INSTANCE_OFFSET, draw_panoptic
from .text import Writer, text_size


def can_draw(sample) -> bool:
    """Whether a data sample holds a prediction that is known here."""
    return any(key in sample for key in ('pred_panoptic_seg', 'pred_sem_seg', 'pred_instances', 'pred_depth', 'pred_scores'))


def draw_prediction(image: np.ndarray, sample, meta: Mapping, *, alpha: float = 0.58, labels: bool = True,
                    min_score: float = 0.3) -> np.ndarray:
    """RGB picture of an RGB image and what a model said of it.

    Args:
        image: (H, W, 3) uint8.
        sample: data sample with one of `pred_panoptic_seg`, `pred_sem_seg`, `pred_instances`, `pred_depth`, `pred_scores`.
        meta: classes, thing_classes, palette of the data set.
        alpha: opacity of the colours.
        labels: whether names are written.
        min_score: of instances that are drawn.

    Raises:
        ValueError: for a sample without any of them; names what it has.
    """
    classes, palette = list(meta.get('classes') or ()), meta.get('palette')
    if 'pred_panoptic_seg' in sample:
        return draw_panoptic(image, sample.pred_panoptic_seg.sem_seg, classes, palette, thing_classes=meta.get('thing_classes'),
                             alpha=alpha, labels=labels)
    if 'pred_sem_seg' in sample:
        found = sample.pred_sem_seg
        seg = (found.sem_seg if 'sem_seg' in found else found.data).squeeze().cpu().numpy()
        known = (seg >= 0) & (seg < len(classes))
        return draw_panoptic(image, np.where(known, seg + INSTANCE_OFFSET, len(classes)), classes, palette, thing_classes=(),
                             alpha=alpha, labels=labels)
    if 'pred_instances' in sample:
        return _instances(image, sample.pred_instances, classes, palette, alpha, min_score)
    if 'pred_depth' in sample:
        depth = sample.pred_depth
        depth = (depth.data if hasattr(depth, 'data') else depth).squeeze().float().cpu().numpy()
        return draw_depth(depth)
    if 'pred_scores' in sample:
        return _scores(image, sample.pred_scores.float().cpu().numpy(), classes)
    raise ValueError(f'this model predicts nothing that can be drawn; its predictions have {", ".join(sample.keys())}')


def _instances(image: np.ndarray, instances, classes: list, palette, alpha: float, min_score: float) -> np.ndarray:
    """Masks under boxes, the most certain last."""
    colors = check_palette(palette, len(classes))
    scores = instances.scores.cpu().numpy()
    order = [i for i in np.argsort(scores) if scores[i] >= min_score]
    labels, boxes = instances.labels.cpu().numpy(), instances.bboxes.cpu().numpy()
    out = image.copy()
    if 'masks' in instances:
        masks = instances.masks
        masks = (masks.cpu().numpy() if hasattr(masks, 'cpu') else np.asarray(masks)).astype(bool)
        for number, i in enumerate(order):
            color = np.array(instance_shade(colors[labels[i] % len(colors)], number), float)
            out[masks[i]] = ((1 - alpha) * out[masks[i]] + alpha * color).astype(np.uint8)
    return draw_boxes(out, [(boxes[i], int(labels[i])) for i in order], classes, palette)


def _scores(image: np.ndarray, scores: np.ndarray, classes: list, top: int = 3) -> np.ndarray:
    """The most probable classes, written below the image."""
    scale = max(1.0, TILE / min(image.shape[:2]))
    out = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC) if scale > 1 else image.copy()
    size = max(13, round(out.shape[1] / 28))
    height = text_size('x', size)[1]
    best = np.argsort(-scores)[:top]
    strip = np.full((round((len(best) + 0.6) * height * 1.2), out.shape[1], 3), 250, np.uint8)
    whole = np.concatenate([out, strip])
    writer = Writer(whole)
    for row, label in enumerate(best):
        y = out.shape[0] + (row + 0.8) * height * 1.2
        name = classes[label] if label < len(classes) else f'label {label}'
        writer.text(size / 2, y, f'{100 * scores[label]:5.1f}%  {name}', size, (38, 40, 46), bold=row == 0, anchor='lm')
    return writer.image()
