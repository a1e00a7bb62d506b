"""Panoptic quality of prediction files in COCO's panoptic format (JSON + folder of PNGs), anyone's."""
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .panoptic_png import read_panoptic_png
from .panoptic_quality import ClassCounts, Segments, count_matches, find_ids, segment_histogram, summarize


class PanopticFormatError(ValueError):
    """Files that contradict one another; the message names image, file and id."""


def load_panoptic_json(path: str | os.PathLike, need: tuple[str, ...] = ('annotations', )) -> dict:
    """Parses a panoptic JSON and checks that it holds the keys ``need``."""
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: no such panoptic JSON') from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PanopticFormatError(f'{path}: not valid JSON ({error})') from None
    missing = [key for key in need if not isinstance(content, dict) or key not in content]
    if missing:
        raise PanopticFormatError(f"{path}: no key {missing[0]!r}; this is not COCO's panoptic format")
    for annotation in content['annotations'][:1]:
        for key in ('image_id', 'file_name', 'segments_info'):
            if key not in annotation:
                hint = ' (an instance annotation file?)' if 'segmentation' in annotation else ''
                raise PanopticFormatError(f"{path}: an annotation has no {key!r}{hint}")
    return content


def read_segments(annotation: dict, label_of: dict, ground_truth: bool) -> Segments:
    """``segments_info`` of one image as arrays; label -1 for a category that ``label_of`` (id -> index) lacks."""
    by_id = {info['id']: info for info in annotation['segments_info']}  # of repeated ids the last one counts
    infos = by_id.values()
    labels = np.array([label_of.get(info['category_id'], -1) for info in infos], np.int64)
    segments = Segments(np.array(list(by_id), np.int64), labels)
    if ground_truth:
        segments.iscrowd = np.array([info.get('iscrowd', 0) == 1 for info in infos], bool)
        if all('area' in info for info in infos):
            segments.areas = np.array([info['area'] for info in infos], np.int64)
    return segments


def check_prediction(histogram: tuple, pred: Segments, annotation: dict, json_path: str, png_path: str) -> None:
    """Raises :class:`PanopticFormatError` when JSON and PNG of a prediction disagree."""
    image = f"image {annotation['image_id']}"
    _, pred_ids, pixels = histogram
    place = find_ids(pred.ids, pred_ids)
    stray = np.flatnonzero((place < 0) & (pred_ids != 0))
    if stray.size:
        segment = int(pred_ids[stray[0]])
        raise PanopticFormatError(
            f"{image}: {png_path} holds segment id {segment} ({int(pixels[pred_ids == segment].sum())} pixels), which "
            f"its segments_info in {json_path} does not list; list it, or paint it 0 (void)")
    absent = np.setdiff1d(np.arange(pred.ids.size), place)
    if absent.size:
        raise PanopticFormatError(
            f"{image}: {json_path} lists segment ids {pred.ids[absent].tolist()}, of which {png_path} holds no pixel; "
            'drop segments that others cover entirely')
    if (pred.labels < 0).any():
        segment = int(pred.ids[pred.labels < 0][0])
        category = {info['id']: info['category_id'] for info in annotation['segments_info']}[segment]
        raise PanopticFormatError(f'{image}: segment id {segment} in {json_path} has category_id {category!r}, which '
                                  "the ground truth's categories do not hold")


def ground_truth_oddities(histogram: tuple, gt: Segments, annotation: dict, json_path: str, png_path: str) -> list[str]:
    """What is wrong with the ground truth of an image; such files are scored as panopticapi does, but should be known."""
    gt_ids = np.unique(histogram[0])
    place = find_ids(gt.ids, gt_ids)
    stray = gt_ids[(place < 0) & (gt_ids != 0)]
    absent = np.setdiff1d(gt.ids, gt_ids)
    image = f"image {annotation['image_id']}"
    notes = []
    if stray.size:
        notes.append(f'{image}: ground truth {png_path} holds segment ids {stray.tolist()[:5]}, which {json_path} does '
                     'not list; those pixels count as neither segment nor void')
    if absent.size:
        notes.append(f'{image}: {json_path} lists segment ids {absent.tolist()[:5]}, of which {png_path} holds no pixel; '
                     'they count as missed')
    return notes


def score_image(gt_map: np.ndarray, pred_map: np.ndarray, gt: Segments, pred: Segments, num_classes: int,
                name: str) -> tuple[ClassCounts, tuple]:
    """Histogram and counts of an image; errors name it."""
    try:
        histogram = segment_histogram(gt_map, pred_map)
    except ValueError as error:
        raise PanopticFormatError(f'image {name}: {error}; predictions must have the original image size') from None
    return histogram, count_matches(histogram, gt, pred, num_classes)


def evaluate_files(gt_json: str, pred_json: str, gt_dir: str | None = None, pred_dir: str | None = None,
                   workers: int | None = None, progress: Callable[[int, int], None] | None = None) -> dict:
    """Scores predictions in COCO's panoptic format.

    Args:
        gt_json: ground truth file, with ``categories``.
        pred_json: prediction file; its ``annotations`` must hold every image of the ground truth, others are ignored.
        gt_dir: folder of ground truth PNGs; by default the JSON's path without ``.json``.
        pred_dir: likewise of the predictions.
        workers: threads; by default one a core, at most 8. The result does not depend on it.
        progress: called with (images done, images).

    Returns:
        ``All``, ``Things``, ``Stuff``: pq, sq, rq in 0..1 and n; ``per_class`` by category id; ``images``, ``notes``.

    Raises:
        PanopticFormatError, FileNotFoundError: naming image, file and id.
    """
    gt_json, pred_json = str(gt_json), str(pred_json)
    gt_dir = Path(gt_dir if gt_dir is not None else gt_json.removesuffix('.json'))
    pred_dir = Path(pred_dir if pred_dir is not None else pred_json.removesuffix('.json'))
    for folder, what in ((gt_dir, 'ground truth'), (pred_dir, 'prediction')):
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder}: no such folder of {what} PNGs')
    truth = load_panoptic_json(gt_json, ('annotations', 'categories'))
    predictions = {a['image_id']: a for a in load_panoptic_json(pred_json)['annotations']}
    categories = list({category['id']: category for category in truth['categories']}.values())
    for category in categories:
        if 'isthing' not in category:
            raise PanopticFormatError(f"{gt_json}: category {category['id']} ({category.get('name')}) has no 'isthing'")
    label_of = {category['id']: k for k, category in enumerate(categories)}

    pairs, absent = [], []
    for annotation in truth['annotations']:
        if annotation['image_id'] in predictions:
            pairs.append((annotation, predictions[annotation['image_id']]))
        else:
            absent.append(annotation['image_id'])
    if absent:
        raise PanopticFormatError(f'{pred_json}: no prediction for {len(absent)} of {len(truth["annotations"])} images, '
                                  f'the first with image_id {absent[0]!r}')
    known = {annotation['image_id'] for annotation in truth['annotations']}
    extra = [image_id for image_id in predictions if image_id not in known]
    notes = [f'{pred_json}: {len(extra)} predictions of images that {gt_json} does not annotate are left out, the first '
             f'with image_id {extra[0]!r}'] if extra else []

    def score(pair: tuple[dict, dict]) -> tuple[ClassCounts, list[str]]:
        gt_annotation, pred_annotation = pair
        gt_png, pred_png = gt_dir / gt_annotation['file_name'], pred_dir / pred_annotation['file_name']
        gt, pred = read_segments(gt_annotation, label_of, True), read_segments(pred_annotation, label_of, False)
        name = str(gt_annotation['image_id'])
        try:
            gt_map, pred_map = read_panoptic_png(gt_png), read_panoptic_png(pred_png)
        except (OSError, ValueError) as error:
            raise PanopticFormatError(f'image {name}: {error}') from None
        try:
            histogram = segment_histogram(gt_map, pred_map)
        except ValueError as error:
            raise PanopticFormatError(f'image {name}: {error} ({gt_png}, {pred_png})') from None
        check_prediction(histogram, pred, pred_annotation, pred_json, str(pred_png))
        odd = ground_truth_oddities(histogram, gt, gt_annotation, gt_json, str(gt_png))
        return count_matches(histogram, gt, pred, len(categories)), odd

    total = ClassCounts.zeros(len(categories))
    workers = max(1, min(8, os.cpu_count() or 1) if workers is None else workers)
    with ThreadPoolExecutor(workers) as pool:  # decoding, most of the work, runs outside Python's lock
        scores = pool.map(score, pairs) if workers > 1 else map(score, pairs)
        for done, (counts, odd) in enumerate(scores, 1):
            total += counts
            notes += odd
            if progress:
                progress(done, len(pairs))
    names = [str(category.get('name', category['id'])) for category in categories]
    isthing = np.array([category['isthing'] == 1 for category in categories], bool)
    return {**summarize(total, list(label_of), names, isthing), 'images': len(pairs), 'notes': notes}
