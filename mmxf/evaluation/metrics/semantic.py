"""Mean IoU of a model's semantic prediction, computed by mmseg's IoUMetric."""
import os
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from mmxf.registry import METRICS

from ..panoptic_files import PanopticTruth
from ..panoptic_quality import find_ids
from .panoptic import INSTANCE_OFFSET

IGNORE = 255


@METRICS.register_module()
class SemanticMetric(BaseMetric):
    """Mean IoU for models that predict ``pred_sem_seg`` or only ``pred_panoptic_seg``.

    ``mmseg.IoUMetric`` wants the true label map in every sample, which panoptic pipelines do not carry; here
    it is read from one of two places, and the numbers are mmseg's.

    Args:
        ann_file: panoptic JSON; labels follow from the segments (COCO), crowds included, void ignored.
        seg_prefix: folder of its PNGs; by default ``ann_file`` without ``.json``.
        map_path: alternatively, how a grey label map's path follows from the image's: pairs (text,
            replacement), each applied to its last occurrence. Cityscapes: ``[('leftImg8bit/', 'gtFine/'),
            ('_leftImg8bit.png', '_gtFine_labelTrainIds.png')]``; ADE20K: ``[('images/', 'annotations/'),
            ('.jpg', '.png')]``.
        reduce_zero_label: in those maps 0 is void and 1 the first class (ADE20K).
        iou_metrics: of 'mIoU', 'mDice', 'mFscore'.
        prefix: of the returned keys.
        collect_device: 'cpu' or 'gpu', how results travel between processes.

    Returns (through ``evaluate``): aAcc, mIoU, mAcc, ... in percent.
    """
    default_prefix = 'semantic'

    def __init__(self, ann_file: str | None = None, seg_prefix: str | None = None,
                 map_path: Sequence[tuple[str, str]] | None = None, reduce_zero_label: bool = False,
                 iou_metrics: Sequence[str] = ('mIoU', ), prefix: str | None = None,
                 collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if (ann_file is None) == (map_path is None):
            raise ValueError('SemanticMetric: give either ann_file (panoptic) or map_path (label maps)')
        from mmseg.evaluation import IoUMetric  # heavy, so only where it is used
        self.iou = IoUMetric(ignore_index=IGNORE, iou_metrics=list(iou_metrics), prefix=self.default_prefix)
        self.ann_file, self.seg_prefix = ann_file, seg_prefix
        self.map_path = map_path
        self.reduce_zero_label = reduce_zero_label
        self._truth = None

    def _panoptic_labels(self, sample: dict) -> np.ndarray:
        if self._truth is None:
            self._truth = PanopticTruth(self.ann_file, self.seg_prefix, self.dataset_meta['classes'])
        ids, segments = self._truth.read(sample['img_id'])
        ids, which = np.unique(ids, return_inverse=True)
        place = find_ids(segments.ids, ids.astype(np.int64))
        labels = np.append(segments.labels, -1)[place]  # place -1, not listed, takes the -1 at the end
        return np.where(labels >= 0, labels, IGNORE)[which]

    def _map_labels(self, sample: dict) -> np.ndarray:
        path = sample['img_path']
        for text, replacement in self.map_path:
            head, found, tail = path.rpartition(text)
            if not found:
                raise ValueError(f"SemanticMetric: map_path replaces {text!r}, which {path} does not contain")
            path = head + replacement + tail
        labels = cv2.imread(os.fspath(path), cv2.IMREAD_UNCHANGED)
        if labels is None or labels.ndim != 2:
            what = 'cannot be read' if labels is None else f'has shape {labels.shape}, not (H, W)'
            raise ValueError(f"image {sample['img_id']}: {path} {what}")
        labels = labels.astype(np.int64)
        if self.reduce_zero_label:
            labels = np.where(labels == 0, IGNORE, labels - 1)
        return labels

    def _prediction(self, sample: dict) -> torch.Tensor:
        for key in ('pred_sem_seg', 'pred_panoptic_seg'):
            if key in sample:
                seg = sample[key]
                seg = seg if isinstance(seg, dict) else dict(seg.items())
                labels = torch.as_tensor(seg['sem_seg' if 'sem_seg' in seg else 'data']).squeeze(0)
                return labels.long() % INSTANCE_OFFSET  # takes the instance off; void stays outside 0..K-1
        raise KeyError(f"image {sample['img_id']}: neither pred_sem_seg nor pred_panoptic_seg predicted")

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Intersections and unions of each sample."""
        num_classes = len(self.dataset_meta['classes'])
        for sample in data_samples:
            pred = self._prediction(sample)
            truth = self._panoptic_labels(sample) if self.ann_file is not None else self._map_labels(sample)
            if tuple(pred.shape) != truth.shape:
                raise ValueError(f"image {sample['img_id']}: prediction is {tuple(pred.shape)}, ground truth "
                                 f'{truth.shape}; predictions must have the original image size')
            truth = torch.from_numpy(truth).to(pred.device)
            areas = self.iou.intersect_and_union(pred, truth, num_classes, IGNORE)
            # mmseg counts in float32; summed over a data set, that loses pixels.
            self.results.append((sample['img_id'], *(area.double() for area in areas)))

    def compute_metrics(self, results: list) -> dict:
        """aAcc, mIoU, mAcc in percent; prints mmseg's table of classes."""
        self.iou.dataset_meta = self.dataset_meta
        unique = {image_id: areas for image_id, *areas in results}  # padding repeats images
        return self.iou.compute_metrics(list(unique.values()))
