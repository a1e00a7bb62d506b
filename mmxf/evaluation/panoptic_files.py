"""Panoptic quality of prediction files in COCO's panoptic format (JSON + folder of PNGs), anyone's."""
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from mmxf.cores import available_cores

from .forked import map_in_order
from .panoptic_png import read_panoptic_png
from .panoptic_quality import ClassCounts, Segments, count_matches, segment_histogram, summarize, without_pixels
from .rgb_png import pixel_loops

CHUNK = 16                                 # images that a process takes at a time, in 15 ms, which is also what its start takes


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
    for key in need:
        if not isinstance(content, dict) or key not in content:
            raise PanopticFormatError(f"{path}: no key {key!r}; this is not COCO's panoptic format")
    for annotation in content.get('annotations', [])[:1]:
        for key in ('image_id', 'file_name', 'segments_info'):
            if key not in annotation:
                hint = ' (an instance annotation file?)' if 'segmentation' in annotation else ''
                raise PanopticFormatError(f'{path}: an annotation has no {key!r}{hint}')
    for category in content['categories'] if 'categories' in need else []:
        if 'isthing' not in category:
            name = f"{category.get('id')} ({category.get('name')})"
            raise PanopticFormatError(f"{path}: category {name} has no 'isthing' (an instance file?)")
    return content


def read_segments(annotation: dict, label_of: dict, ground_truth: bool) -> Segments:
    """``segments_info`` of an image as arrays; ``label_of``: category id -> index, -1 for those it lacks."""
    by_id = {info['id']: info for info in annotation['segments_info']}  # of repeated ids the last one counts
    infos = by_id.values()
    labels = np.array([label_of.get(info['category_id'], -1) for info in infos], np.int64)
    segments = Segments(np.array(list(by_id), np.int64), labels)
    if ground_truth:
        segments.iscrowd = np.array([info.get('iscrowd', 0) == 1 for info in infos], bool)
        if all('area' in info for info in infos):
            segments.areas = np.array([info['area'] for info in infos], np.int64)
    return segments


class PanopticTruth:
    """The segments of a data set's classes, image by image, from ground truth in COCO's panoptic format.

    Args:
        ann_file: panoptic JSON.
        seg_prefix: folder of its PNGs; by default ``ann_file`` without ``.json``.
        classes: names, which meet the file's categories by name; other categories count for nothing.

    Raises:
        ValueError: a class is not among the file's categories.
    """

    def __init__(self, ann_file: str, seg_prefix: str | os.PathLike | None, classes: Sequence[str]) -> None:
        self.ann_file = ann_file
        self.folder = Path(seg_prefix if seg_prefix is not None else ann_file.removesuffix('.json'))
        content = load_panoptic_json(ann_file, ('annotations', 'categories'))
        classes = [name.strip() for name in classes]
        name_of = {category['id']: category['name'].strip() for category in content['categories']}
        absent = sorted(set(classes) - set(name_of.values()))
        if absent:
            raise ValueError(f"{ann_file}: its {len(name_of)} categories lack {len(absent)} of the data set's "
                             f'{len(classes)} classes, {absent[0]!r} among them')
        self.label_of = {key: classes.index(name) for key, name in name_of.items() if name in classes}
        self._annotations = {annotation['image_id']: annotation for annotation in content['annotations']}

    def read(self, image_id: object) -> tuple[np.ndarray, Segments]:
        """(H, W) uint32 segment ids of an image, and its segments; labels are positions among the classes."""
        if image_id not in self._annotations:
            raise KeyError(f'image {image_id!r}: {self.ann_file} has no annotation of it')
        annotation = self._annotations[image_id]
        ids = read_panoptic_png(self.folder / annotation['file_name'])
        return ids, read_segments(annotation, self.label_of, ground_truth=True)


def check_prediction(histogram: tuple, pred: Segments, annotation: dict, json_path: str, png: str) -> None:
    """Raises :class:`PanopticFormatError` when JSON and PNG of a prediction disagree."""
    image = f"image {annotation['image_id']}"
    _, pred_ids, pixels = histogram
    place = pred.find(pred_ids)
    stray = np.flatnonzero((place < 0) & (pred_ids != 0))
    if stray.size:
        segment = int(pred_ids[stray[0]])
        count = int(pixels[pred_ids == segment].sum())
        raise PanopticFormatError(f'{image}: {png} holds segment id {segment} ({count} pixels), which '
                                  f'{json_path} does not list; list it there, or paint it 0 (void)')
    absent = without_pixels(pred.ids, place)
    if absent.size:
        raise PanopticFormatError(f'{image}: {json_path} lists segment ids {absent.tolist()}, of '
                                  f'which {png} holds no pixel; drop segments that others cover entirely')
    if (pred.labels < 0).any():
        segment = int(pred.ids[pred.labels < 0][0])
        category = {info['id']: info['category_id'] for info in annotation['segments_info']}[segment]
        raise PanopticFormatError(f'{image}: segment id {segment} in {json_path} has category_id '
                                  f"{category!r}, which the ground truth's categories lack")


def ground_truth_oddities(histogram: tuple, gt: Segments, annotation: dict, json_path: str,
                          png: str) -> list[str]:
    """What is wrong with the ground truth of an image: scored as panopticapi does, but worth knowing."""
    gt_ids = histogram[0]
    place = gt.find(gt_ids)
    stray = gt_ids[(place < 0) & (gt_ids != 0)]
    absent = without_pixels(gt.ids, place)
    image = f"image {annotation['image_id']}"
    notes = []
    if stray.size:
        notes.append(f'{image}: ground truth {png} holds segment ids {np.unique(stray).tolist()[:5]}, which {json_path} '
                     'does not list; those pixels count as neither segment nor void')
    if absent.size:
        notes.append(f'{image}: ground truth {json_path} lists segment ids {np.sort(absent).tolist()[:5]}, of which '
                     f'{png} holds no pixel; they count as missed')
    if (gt.labels < 0).any():
        notes.append(f'{image}: ground truth {json_path} has segments of categories that are not scored')
    return notes


def pair_annotations(gt_json: str, truth: list[dict], pred_json: str,
                     predictions: list[dict]) -> tuple[list, list]:
    """Pairs of annotations of the same image, and notes; raises when an image has no prediction."""
    by_image = {annotation['image_id']: annotation for annotation in predictions}
    absent = [a['image_id'] for a in truth if a['image_id'] not in by_image]
    if absent:
        raise PanopticFormatError(f'{pred_json}: no prediction for {len(absent)} of {len(truth)} images, the '
                                  f'first with image_id {absent[0]!r}')
    extra = by_image.keys() - {annotation['image_id'] for annotation in truth}
    notes = [f'{pred_json}: {len(extra)} predictions are of images that {gt_json} does not annotate, '
             f'image_id {min(extra, key=str)!r} among them; left out'] if extra else []
    return [(annotation, by_image[annotation['image_id']]) for annotation in truth], notes


def histogram_of_files(gt_png: str | os.PathLike, pred_png: str | os.PathLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """:func:`segment_histogram` of two PNGs.

    Raises:
        FileNotFoundError, ValueError: naming the file that is at fault, or both when their sizes differ.
    """
    maps = read_panoptic_png(gt_png), read_panoptic_png(pred_png)
    try:
        return segment_histogram(*maps)
    except ValueError as error:
        raise ValueError(f'{error} ({gt_png}, {pred_png})') from None


def evaluate_files(gt_json: str | os.PathLike, pred_json: str | os.PathLike,
                   gt_dir: str | os.PathLike | None = None, pred_dir: str | os.PathLike | None = None,
                   workers: int | None = None, progress: Callable[[int, int], None] | None = None) -> dict:
    """Scores predictions in COCO's panoptic format.

    Args:
        gt_json: ground truth file, with ``categories``.
        pred_json: prediction file; holds every image of the ground truth, others are left out with a note.
        gt_dir: folder of ground truth PNGs; by default the JSON's path without ``.json``.
        pred_dir: likewise of the predictions.
        workers: processes; by default one a core, at most 8, where there are images enough. The result does not depend on it.
        progress: called with (images done, images).

    Returns:
        ``All``, ``Things``, ``Stuff``: pq, sq, rq in 0..1 and n; ``per_class`` by category id; ``images``:
        how many; ``notes``: oddities of the ground truth.

    Raises:
        PanopticFormatError, FileNotFoundError: naming image, file and id.
    """
    gt_json, pred_json = os.fspath(gt_json), os.fspath(pred_json)
    gt_dir = Path(gt_dir if gt_dir is not None else gt_json.removesuffix('.json'))
    pred_dir = Path(pred_dir if pred_dir is not None else pred_json.removesuffix('.json'))
    truth = load_panoptic_json(gt_json, ('annotations', 'categories'))
    predictions = load_panoptic_json(pred_json)
    for folder, what in ((gt_dir, 'ground truth'), (pred_dir, 'prediction')):
        if not folder.is_dir():
            raise FileNotFoundError(f'{folder}: no such folder of {what} PNGs')
    categories = {category['id']: category for category in truth['categories']}
    label_of = {category_id: k for k, category_id in enumerate(categories)}
    pairs, notes = pair_annotations(gt_json, truth['annotations'], pred_json, predictions['annotations'])

    def score(chunk: int) -> tuple[ClassCounts, list[str], int]:
        counts, odd = ClassCounts.zeros(len(categories)), []
        part = pairs[chunk * CHUNK:(chunk + 1) * CHUNK]
        for gt_ann, pred_ann in part:
            gt_png, pred_png = os.path.join(gt_dir, gt_ann['file_name']), os.path.join(pred_dir, pred_ann['file_name'])
            gt, pred = read_segments(gt_ann, label_of, True), read_segments(pred_ann, label_of, False)
            try:
                histogram = histogram_of_files(gt_png, pred_png)
            except (OSError, ValueError) as error:
                raise PanopticFormatError(f"image {gt_ann['image_id']}: {error}") from None
            check_prediction(histogram, pred, pred_ann, pred_json, pred_png)
            odd += ground_truth_oddities(histogram, gt, gt_ann, gt_json, gt_png)
            counts += count_matches(histogram, gt, pred, len(categories))
        return counts, odd, len(part)

    total, done, chunks = ClassCounts.zeros(len(categories)), 0, -(-len(pairs) // CHUNK)
    if workers is None:
        workers = min(8, available_cores(), chunks // 2)
    pixel_loops()                          # loaded once, not in every process
    for counts, odd, number in map_in_order(score, chunks, workers):
        total += counts
        notes += odd
        done += number
        if progress:
            progress(done, len(pairs))
    names = [str(category.get('name', category_id)) for category_id, category in categories.items()]
    isthing = np.array([category['isthing'] == 1 for category in categories.values()], bool)
    return {**summarize(total, list(categories), names, isthing), 'images': len(pairs), 'notes': notes}
