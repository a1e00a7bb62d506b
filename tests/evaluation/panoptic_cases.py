"""Small panoptic scenes that hold every awkward case, as arrays and as official files.

The random numbers come from numpy's RandomState, whose streams are frozen: the numbers committed in
``panopticapi_reference.json`` belong to exactly these scenes.
"""

import json
from pathlib import Path

import numpy as np

from mmxf.evaluation.panoptic_png import write_panoptic_png

CATEGORIES = [{'id': 10 * k + 1, 'name': f'class {k}', 'isthing': int(k < 4)} for k in range(7)]
CATEGORY_IDS = [category['id'] for category in CATEGORIES]


def random_scene(seed: int) -> tuple[np.ndarray, list[dict], np.ndarray, list[dict]]:
    """True ids (H, W) and segments, predicted ids and segments: void, crowds, tiny segments, stray true
    pixels, stated areas that are not the real ones, a predicted segment with id 0."""
    random = np.random.RandomState(seed)
    height, width = random.randint(12, 60), random.randint(12, 60)
    palette = np.arange(1, 65)
    if seed % 3:
        palette = random.permutation(np.unique(random.randint(1, 2**24, 100))[:64])
    gt = np.zeros((height, width), np.int64)
    for segment in palette[: random.randint(2, 24)]:
        gt[_rectangle(random, height, width)] = segment
    categories = {int(s): CATEGORY_IDS[random.randint(7)] for s in palette}
    pred = np.roll(gt, random.randint(-3, 4, 2), (0, 1))
    if seed % 5 != 1:
        pred = palette[::-1][np.searchsorted(np.sort(palette), pred).clip(max=63)]  # other ids than the truth's
        categories.update({int(s): CATEGORY_IDS[random.randint(7)] for s in palette if random.rand() < 0.2})
    shifted = categories.copy()
    if seed % 5 != 1:
        by_rank = dict(zip(np.sort(palette).tolist(), palette[::-1].tolist()))
        shifted = {by_rank[s]: categories[s] for s in by_rank}
    for segment in palette[30 : 30 + random.randint(8)]:
        pred[_rectangle(random, height, width)] = segment
    if seed % 2:
        pred[_rectangle(random, height, width)] = 0
    gt_segments = [
        {
            'id': int(s),
            'category_id': categories[int(s)],
            'area': int((gt == s).sum()),
            'iscrowd': int(random.rand() < 0.25),
        }
        for s in np.unique(gt)
        if s
    ]
    if seed % 7 == 0:  # ADE20K's files state the area before things covered stuff
        for segment in gt_segments:
            segment['area'] += random.randint(0, 30)
    if seed % 11 == 0 and len(gt_segments) > 2:
        gt_segments.pop()  # in the PNG only
    gt_segments = [gt_segments[i] for i in random.permutation(len(gt_segments))]
    pred_segments = [{'id': int(s), 'category_id': shifted[int(s)]} for s in np.unique(pred) if s]
    if seed % 4 == 3 and (pred == 0).any():
        pred_segments.append({'id': 0, 'category_id': CATEGORY_IDS[random.randint(7)]})
    return gt, gt_segments, pred, pred_segments


def _rectangle(random: np.random.RandomState, height: int, width: int) -> tuple[slice, slice]:
    top, left = random.randint(height), random.randint(width)
    return slice(top, top + random.randint(1, height // 2)), slice(left, left + random.randint(1, width // 2))


def write_files(folder: Path, scenes: list) -> dict[str, str]:
    """Writes scenes in COCO's panoptic format; returns the arguments of ``evaluate_files``."""
    paths = {}
    for which, name in ((0, 'gt'), (2, 'pred')):
        (folder / name).mkdir(parents=True, exist_ok=True)
        annotations = []
        for image_id, scene in enumerate(scenes):
            write_panoptic_png(folder / name / f'{image_id}.png', scene[which])
            annotations.append(
                {'image_id': image_id, 'file_name': f'{image_id}.png', 'segments_info': scene[which + 1]}
            )
        content = {'annotations': annotations}
        if name == 'gt':
            content['categories'] = CATEGORIES
        (folder / f'{name}.json').write_text(json.dumps(content))
        paths |= {f'{name}_json': str(folder / f'{name}.json'), f'{name}_dir': str(folder / name)}
    return paths


def plain_counts(gt, gt_segments, pred, pred_segments) -> dict[int, list]:
    """A second implementation, mask by mask, slow and plain: {category_id: [tp, fp, fn, iou]}."""
    counts = {category_id: [0, 0, 0, 0.0] for category_id in CATEGORY_IDS}
    void = gt == 0
    matched_gt, matched_pred = set(), set()
    for t in gt_segments:
        for p in pred_segments:
            if t['iscrowd'] or t['category_id'] != p['category_id']:
                continue
            pm = pred == p['id']
            inter = int(((gt == t['id']) & pm).sum())
            union = t['area'] + int(pm.sum()) - inter - int((pm & void).sum())
            if inter and inter / union > 0.5:
                counts[t['category_id']][0] += 1
                counts[t['category_id']][3] += inter / union
                matched_gt.add(t['id'])
                matched_pred.add(p['id'])
    crowds = {}
    for t in gt_segments:
        if t['iscrowd']:
            crowds[t['category_id']] = gt == t['id']
        elif t['id'] not in matched_gt:
            counts[t['category_id']][2] += 1
    for p in pred_segments:
        if p['id'] not in matched_pred:
            pm = pred == p['id']
            lost = int((pm & void).sum())
            if p['category_id'] in crowds:
                lost += int((pm & crowds[p['category_id']]).sum())
            counts[p['category_id']][1] += lost / int(pm.sum()) <= 0.5
    return counts
