"""Instance AP of a panoptic model's things, computed by mmdet's CocoMetric (pycocotools)."""
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric

from mmxf.registry import METRICS

from ..panoptic_files import PanopticTruth


@METRICS.register_module()
class InstanceMetric(BaseMetric):
    """COCO box and mask AP for models whose labels count things and stuff.

    ``mmdet.CocoMetric`` takes labels as positions in the annotation file's list of categories. That holds
    for a panoptic model of COCO, whose things come first, by luck of the order, and fails elsewhere (ADE20K
    mixes things and stuff). Here labels meet categories by name, and predicted stuff is left out; the rest
    is mmdet's.

    Args:
        ann_file: instance annotations in COCO's format; or panoptic ones, whose things are the instances where no
            two overlap (ADE20K), with ``seg_prefix``.
        seg_prefix: folder of the panoptic PNGs.
        metric: 'bbox', 'segm' or both.
        prefix: of the returned keys.
        collect_device: 'cpu' or 'gpu', how results travel between processes.
        classwise, proposal_nums, format_only, outfile_prefix: see ``mmdet.CocoMetric``.
    """
    default_prefix = 'coco'

    def __init__(self, ann_file: str, seg_prefix: str | None = None,
                 metric: str | Sequence[str] = ('bbox', 'segm'), classwise: bool = False,
                 proposal_nums: Sequence[int] = (100, 300, 1000),
                 format_only: bool = False, outfile_prefix: str | None = None, prefix: str | None = None,
                 collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        from mmdet.evaluation import CocoMetric  # heavy, so only where it is used
        self.ann_file, self.seg_prefix = ann_file, seg_prefix
        if not Path(ann_file).is_file():
            raise FileNotFoundError(f'{ann_file}: no such annotations; without them take InstanceMetric out of the '
                                    'evaluators')
        self.coco = CocoMetric(
            ann_file=ann_file if seg_prefix is None else None, metric=[metric] if isinstance(metric, str) else list(metric),
            classwise=classwise, proposal_nums=proposal_nums, format_only=format_only,
            outfile_prefix=outfile_prefix)
        self._thing_of = self._truth = None

    def _match_categories(self) -> None:
        """Fixes which category each thing class is, and which thing each label is."""
        if self._thing_of is not None:
            return
        classes = [name.strip() for name in self.dataset_meta['classes']]
        wanted = {name.strip() for name in self.dataset_meta.get('thing_classes', classes)}
        things = [name for name in classes if name in wanted]
        self._thing_of = [things.index(name) if name in wanted else -1 for name in classes]
        self.coco.dataset_meta = {**self.dataset_meta, 'classes': tuple(things)}
        if self.seg_prefix is not None:
            self.coco.cat_ids = list(range(len(things)))
            self._truth = PanopticTruth(self.ann_file, self.seg_prefix, things)
            return
        id_of = {category['name'].strip(): category['id'] for category in self.coco._coco_api.cats.values()}
        absent = [name for name in things if name not in id_of]
        if absent:
            raise ValueError(f'{self.ann_file}: its {len(id_of)} categories lack {len(absent)} of the '
                             f"data set's {len(things)} thing classes, {absent[0]!r} among them")
        self.coco.cat_ids = [id_of[name] for name in things]

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Takes ``pred_instances`` (labels (N,), scores (N,), bboxes (N, 4), masks (N, H, W)) of each
        sample."""
        self._match_categories()
        relabelled = []
        for sample in data_samples:
            if 'pred_instances' not in sample:
                raise KeyError(f"image {sample['img_id']}: the model's prediction holds no 'pred_instances'; "
                               'is instance inference switched off in test_cfg?')
            instances = sample['pred_instances']
            labels = instances['labels'].new_tensor(self._thing_of)[instances['labels']]
            keep = labels >= 0
            instances = {key: instances[key][keep.to(instances[key].device)]
                         for key in ('scores', 'bboxes', 'masks', 'mask_scores') if key in instances}
            relabelled.append({**sample, 'pred_instances': {**instances, 'labels': labels[keep]}})
            if self._truth is not None:
                relabelled[-1]['instances'] = self._true_instances(sample['img_id'])
        self.coco.process(data_batch, relabelled)  # carries 'instances' to compute_metrics
        self.results += self.coco.results
        self.coco.results.clear()

    def compute_metrics(self, results: list) -> dict:
        """AP as mmdet names it: bbox_mAP, segm_mAP, segm_mAP_50, ..."""
        self._match_categories()
        results = list({gt['img_id']: (gt, pred) for gt, pred in results}.values())
        if self._truth is not None:
            self.coco._coco_api = self._coco_api([gt for gt, _ in results])
        return self.coco.compute_metrics(results)

    def _true_instances(self, image_id: object) -> list[dict]:
        """Annotations of an image's things in COCO's format, made from its panoptic segments."""
        from pycocotools import mask as coco_mask

        ids, segments = self._truth.read(image_id)
        found = []
        for k in np.flatnonzero(segments.labels >= 0):
            mask = ids == segments.ids[k]
            if mask.any():
                rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
                found.append({'image_id': image_id, 'category_id': int(segments.labels[k]),
                              'iscrowd': int(segments.iscrowd[k]), 'area': int(mask.sum()),
                              'bbox': coco_mask.toBbox(rle).tolist(),
                              'segmentation': {**rle, 'counts': rle['counts'].decode()}})
        return found

    def _coco_api(self, truth: list[dict]) -> object:
        """pycocotools' view of what the images hold."""
        from mmdet.datasets.api_wrappers import COCO

        content = {
            'images': [{'id': gt['img_id'], 'width': gt['width'], 'height': gt['height']} for gt in truth],
            'annotations': [{**annotation, 'id': k} for k, annotation in
                            enumerate((a for gt in truth for a in gt['anns']), 1)],  # 0 would be no match
            'categories': [{'id': k, 'name': name} for k, name in enumerate(self.coco.dataset_meta['classes'])]}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'instances.json'
            path.write_text(json.dumps(content))
            return COCO(str(path))
