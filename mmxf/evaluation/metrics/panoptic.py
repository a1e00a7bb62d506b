"""PQ, SQ and RQ of a model's predictions while the Runner validates or tests."""
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log

from mmxf.registry import METRICS

from ..panoptic_files import PanopticFormatError, ground_truth_oddities, load_panoptic_json, read_segments
from ..panoptic_png import read_panoptic_png, write_panoptic_png
from ..panoptic_quality import ClassCounts, Segments, count_matches, segment_histogram, summarize
from ..panoptic_report import panoptic_table, write_json

# A pixel of a prediction is label + INSTANCE_OFFSET * instance, as mmdet codes it.
INSTANCE_OFFSET = 1000


@METRICS.register_module()
class PanopticMetric(BaseMetric):
    """Panoptic quality as panopticapi computes it, from predictions in memory and ground truth in COCO's
    format.

    Each image leaves a few numbers behind, no map is kept. Reads ``pred_panoptic_seg.sem_seg`` (1, H, W)
    int64 at the original image size: ``label + 1000 * instance``, label the index into the data set's
    classes, void = number of classes. Prints a table and writes ``panoptic.json`` (named after ``prefix``)
    into the run's folder.

    Args:
        ann_file: panoptic JSON of the ground truth. Its categories and the data set's classes meet by name.
        seg_prefix: folder of its PNGs; by default ``ann_file`` without ``.json``.
        outfile_prefix: also write the predictions in COCO's panoptic format, to
            ``<outfile_prefix>.panoptic.json`` and the folder ``<outfile_prefix>.panoptic/``.
        format_only: write them and score nothing, for a test set without ground truth; needs
            ``outfile_prefix``.
        classwise: rows of single classes in the table.
        out_dir: folder for the JSON; by default that of the run's log file.
        collect_device: 'cpu' or 'gpu', how results travel between processes.
        prefix: of the returned keys.

    Returns (through ``evaluate``): PQ, SQ, RQ, and the same with ``_th`` and ``_st``, in percent.
    """
    default_prefix = 'panoptic'

    def __init__(self, ann_file: str, seg_prefix: str | None = None, outfile_prefix: str | None = None,
                 format_only: bool = False, classwise: bool = True, out_dir: str | None = None,
                 collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if format_only and outfile_prefix is None:
            raise ValueError('PanopticMetric: format_only=True needs outfile_prefix, where to write')
        self.ann_file = ann_file
        self.seg_prefix = Path(seg_prefix if seg_prefix is not None else ann_file.removesuffix('.json'))
        self.outfile_prefix = outfile_prefix
        self.format_only = format_only
        self.classwise = classwise
        self.out_dir = out_dir
        self._truth: dict | None = None  # annotations by image id, read when first needed
        self._categories: list[dict] = []

    # -- ground truth --------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Reads ``ann_file`` once and matches its categories with the data set's classes."""
        if self._truth is not None:
            return
        if self.dataset_meta is None or 'classes' not in self.dataset_meta:
            raise ValueError("PanopticMetric: the data set's metainfo has no 'classes'; set dataset_meta")
        need = ('categories', ) if self.format_only else ('annotations', 'categories')
        content = load_panoptic_json(self.ann_file, need)
        by_name = {category['name'].strip(): category for category in content['categories']}
        classes = [name.strip() for name in self.dataset_meta['classes']]
        absent = [name for name in classes if name not in by_name]
        if absent:
            raise ValueError(f'{self.ann_file}: its {len(by_name)} categories lack {len(absent)} of the data '
                             f"set's {len(classes)} classes, {absent[0]!r} among them; the file and the data "
                             "set's metainfo do not belong together")
        unused = len(by_name) - len(set(classes))
        if unused:
            print_log(f'{self.ann_file}: {unused} of its {len(by_name)} categories are not among the data '
                      "set's classes and are not scored", logger='current', level=logging.WARNING)
        self._categories = [by_name[name] for name in classes]
        self._label_of = {category['id']: label for label, category in enumerate(self._categories)}
        self._truth = {annotation['image_id']: annotation for annotation in content.get('annotations', [])}

    # -- one image -----------------------------------------------------------------------------------------

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Scores a batch; ``data_samples``: dicts with ``pred_panoptic_seg``, ``img_id`` and ``img_path``."""
        self._load()
        for sample in data_samples:
            pred_map = self._prediction(sample)
            result = {'img_id': sample['img_id']}
            if self.outfile_prefix is not None:
                result['annotation'] = self._write(sample, pred_map)
            if not self.format_only:
                result.update(self._score(sample, pred_map))
            self.results.append(result)

    def _prediction(self, sample: dict) -> np.ndarray:
        """(H, W) int32 coded prediction of a sample."""
        if 'pred_panoptic_seg' not in sample:
            raise KeyError(f"image {sample['img_id']}: the model's prediction holds no 'pred_panoptic_seg'; "
                           'is panoptic inference switched off in test_cfg?')
        pred = sample['pred_panoptic_seg']
        pred = pred['sem_seg'] if isinstance(pred, dict) else pred.sem_seg
        return np.asarray(pred.cpu() if hasattr(pred, 'cpu') else pred).astype(np.int32).squeeze(0)

    def _labels(self, values: np.ndarray, image_id: object) -> tuple[np.ndarray, np.ndarray]:
        """Coded values that are segments, and their labels; void is left out."""
        labels, void = values % INSTANCE_OFFSET, len(self._categories)
        if (labels > void).any() or (values < 0).any():
            bad = values[(labels > void) | (values < 0)][0]
            raise ValueError(f'image {image_id}: the predicted value {bad} means class '
                             f'{bad % INSTANCE_OFFSET}, but there are {void} classes (and {void} = void)')
        return values[labels != void], labels[labels != void]

    def _score(self, sample: dict, pred_map: np.ndarray) -> dict:
        annotation = self._truth.get(sample['img_id'])
        if annotation is None:
            raise PanopticFormatError(f"image {sample['img_id']!r} ({sample.get('img_path')}): "
                                      f'{self.ann_file} has no annotation of it')
        png = self.seg_prefix / annotation['file_name']
        try:
            histogram = segment_histogram(read_panoptic_png(png), pred_map)
        except (OSError, ValueError) as error:
            raise PanopticFormatError(f"image {sample['img_id']}: {error} ({png})") from None
        gt = read_segments(annotation, self._label_of, ground_truth=True)
        values, labels = self._labels(np.unique(histogram[1]), sample['img_id'])
        counts = count_matches(histogram, gt, Segments(values, labels), len(self._categories))
        some = np.flatnonzero(counts.tp + counts.fp + counts.fn)
        return {'classes': some, 'tp': counts.tp[some], 'fp': counts.fp[some], 'fn': counts.fn[some],
                'iou': counts.iou[some],
                'notes': ground_truth_oddities(histogram, gt, annotation, self.ann_file, str(png))}

    def _write(self, sample: dict, pred_map: np.ndarray) -> dict:
        """Writes the PNG of a prediction; returns its annotation."""
        known = self._truth.get(sample['img_id'])
        name = known['file_name'] if known else f"{Path(sample['img_path']).stem}.png"
        folder = Path(f'{self.outfile_prefix}.panoptic')
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        values, pixels = np.unique(pred_map, return_counts=True)
        segments, labels = self._labels(values, sample['img_id'])
        is_segment = pred_map % INSTANCE_OFFSET != len(self._categories)
        write_panoptic_png(path, np.where(is_segment, pred_map + 1, 0))  # + 1: id 0 is void in the files
        areas = dict(zip(values.tolist(), pixels.tolist()))
        infos = [{'id': value + 1, 'category_id': self._categories[label]['id'], 'area': areas[value],
                  'isthing': self._categories[label]['isthing']}
                 for value, label in zip(segments.tolist(), labels.tolist())]
        return {'image_id': sample['img_id'], 'file_name': name, 'segments_info': infos}

    # -- all images ----------------------------------------------------------------------------------------

    def compute_metrics(self, results: list) -> dict:
        """Sums what all processes found; an image that came twice (padding of the last batch) counts once."""
        self._load()
        results = list({result['img_id']: result for result in results}.values())
        if self.outfile_prefix is not None:
            path = f'{self.outfile_prefix}.panoptic.json'
            write_json(path, {'annotations': [result['annotation'] for result in results],
                              'categories': self._categories})
            print_log(f'{len(results)} panoptic predictions are in {path}', logger='current')
        if self.format_only:
            return {}
        absent = self._truth.keys() - {result['img_id'] for result in results}
        notes = [note for result in results for note in result['notes']]
        if absent:
            notes.append(f'{len(results)} of the {len(self._truth)} images in {self.ann_file} were scored; '
                         f'image_id {min(absent, key=str)!r} is among the others')
        for note in notes[:5] + ([f'... and {len(notes) - 5} notes more'] if len(notes) > 5 else []):
            print_log(note, logger='current', level=logging.WARNING)

        counts = ClassCounts.zeros(len(self._categories))
        for result in results:  # classes within an image are unique, so += on an index is safe
            for name in ('tp', 'fp', 'fn', 'iou'):
                getattr(counts, name)[result['classes']] += result[name]
        isthing = np.array([category['isthing'] == 1 for category in self._categories], bool)
        ids = [category['id'] for category in self._categories]
        summary = summarize(counts, ids, [category['name'] for category in self._categories], isthing)
        print_log('\n' + panoptic_table(summary, self.classwise), logger='current')
        self._dump({**summary, 'images': len(results), 'ann_file': self.ann_file, 'notes': notes})
        return {f'{key.upper()}{suffix}': 100 * summary[group][key]
                for group, suffix in (('All', ''), ('Things', '_th'), ('Stuff', '_st'))
                for key in ('pq', 'sq', 'rq')}

    def _dump(self, content: dict) -> None:
        log_file = getattr(MMLogger.get_current_instance(), 'log_file', None)
        folder = self.out_dir or (os.path.dirname(log_file) if log_file else None)
        if folder is not None:
            path = Path(folder) / f'{self.prefix}.json'
            write_json(path, content)
            print_log(f'Panoptic results are in {path}', logger='current')
