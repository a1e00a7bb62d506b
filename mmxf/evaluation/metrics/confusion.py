"""Confusion matrices of segmentation and detection, collected beside the other metrics of a test."""
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from mmxf.registry import METRICS

from ..confusion import Confusion, object_matrix, pixel_matrix
from .panoptic import INSTANCE_OFFSET


class _ConfusionMetric(BaseMetric):
    """Sums one matrix an image; rank 0 writes the files and logs the table."""

    unit = ''

    def __init__(self, out_dir: str, prefix: str | None = None, collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.out_dir = out_dir

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.dataset_meta['classes'])

    def compute_metrics(self, results: list) -> dict:
        """Writes the matrix; returns recall and precision, means over the classes that occur, in percent."""
        unique = dict(results)      # padding repeats images
        size = len(self.classes) + 1
        confusion = Confusion(self.classes, sum(unique.values(), np.zeros((size, size), np.int64)), self.unit)
        files = confusion.write(self.out_dir, f'confusion_{self.unit}')
        MMLogger.get_current_instance().info(f'\n{confusion.table()}\nconfusion matrix: {files[-1]}, {files[0]}')
        rows = confusion.rows()

        def mean(column: str) -> float:
            values = [row[column] for row in rows if row[column] is not None]
            return round(float(np.mean(values)), 4) if values else 0.0

        return {'recall': mean('recall'), 'precision': mean('precision')}


@METRICS.register_module()
class SemanticConfusion(_ConfusionMetric):
    """Which class pixels were taken for.

    Args:
        out_dir: folder of the files.
        ann_file, seg_prefix, map_path, reduce_zero_label: where the truth is, as of `SemanticMetric`; without, in the samples
            (`gt_sem_seg`), as mmsegmentation has it.
        prefix, collect_device: mmengine's.
    """

    default_prefix = 'confusion'
    unit = 'pixels'

    def __init__(self, out_dir: str, ann_file: str | None = None, seg_prefix: str | None = None,
                 map_path: Sequence[tuple[str, str]] | None = None, reduce_zero_label: bool = False, **kwargs) -> None:
        super().__init__(out_dir, **kwargs)
        from .semantic import SemanticMetric

        self.reader = None
        if ann_file is not None or map_path is not None:
            self.reader = SemanticMetric(ann_file, seg_prefix, map_path, reduce_zero_label)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            if self.reader is not None:
                self.reader.dataset_meta = self.dataset_meta
                truth = self.reader._panoptic_labels(sample) if self.reader.ann_file is not None else \
                    self.reader._map_labels(sample)
                said = self.reader._prediction(sample).cpu().numpy()
            else:
                truth = torch.as_tensor(sample['gt_sem_seg']['data']).squeeze(0).cpu().numpy()
                said = torch.as_tensor(sample['pred_sem_seg']['data']).squeeze(0).cpu().numpy() % INSTANCE_OFFSET
            key = sample.get('img_id', sample.get('img_path'))
            self.results.append((key, pixel_matrix(np.asarray(truth), said, len(self.classes))))


@METRICS.register_module()
class DetectionConfusion(_ConfusionMetric):
    """Which class objects were taken for, which were missed, and what was found where nothing is.

    Args:
        out_dir: folder of the files.
        ann_file: COCO's instances; categories meet the data set's classes by name.
        score: detections below it are left out.
        iou: least overlap of boxes.
        prefix, collect_device: mmengine's.
    """

    default_prefix = 'confusion'
    unit = 'objects'

    def __init__(self, out_dir: str, ann_file: str, score: float = 0.3, iou: float = 0.5, **kwargs) -> None:
        super().__init__(out_dir, **kwargs)
        self.ann_file, self.score, self.iou = ann_file, score, iou
        self._truth: dict | None = None

    def _read(self) -> dict:
        """Image id -> (boxes (N, 4), labels (N,), crowd (N,))."""
        content = json.loads(Path(self.ann_file).read_text(encoding='utf-8'))
        names = {category['id']: category['name'].strip() for category in content['categories']}
        wanted = {name.strip(): label for label, name in enumerate(self.classes)}
        label_of = {key: wanted[name] for key, name in names.items() if name in wanted}
        found: dict = {image['id']: [] for image in content['images']}
        for annotation in content['annotations']:
            if annotation['category_id'] in label_of and annotation['image_id'] in found:
                x, y, w, h = annotation['bbox']
                found[annotation['image_id']].append((x, y, x + w, y + h, label_of[annotation['category_id']],
                                                      bool(annotation.get('iscrowd', 0))))
        tables = {key: np.array(rows, float).reshape(-1, 6) for key, rows in found.items()}
        return {key: (table[:, :4], table[:, 4].astype(int), table[:, 5] > 0) for key, table in tables.items()}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        self._truth = self._truth if self._truth is not None else self._read()
        for sample in data_samples:
            if sample['img_id'] not in self._truth:
                raise KeyError(f'image {sample["img_id"]!r} is not in {self.ann_file}')
            boxes, labels, crowd = self._truth[sample['img_id']]
            found = {key: torch.as_tensor(sample['pred_instances'][key]).cpu().numpy() for key in ('bboxes', 'labels', 'scores')}
            keep = found['scores'] >= self.score
            matrix = object_matrix(boxes, labels, found['bboxes'][keep], found['labels'][keep], found['scores'][keep],
                                   len(self.classes), iou=self.iou, crowd=crowd)
            self.results.append((sample['img_id'], matrix))
