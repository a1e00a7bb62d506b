"""Instance AP of a panoptic model's things, computed by mmdet's CocoMetric (pycocotools)."""
from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mmxf.registry import METRICS


@METRICS.register_module()
class InstanceMetric(BaseMetric):
    """COCO box and mask AP for models whose labels count things and stuff.

    ``mmdet.CocoMetric`` takes labels as positions in the annotation file's list of categories. That holds
    for a panoptic model of COCO, whose things come first, by luck of the order, and fails elsewhere (ADE20K
    mixes things and stuff). Here labels meet categories by name, and predicted stuff is left out; the rest
    is mmdet's.

    Args:
        ann_file: instance annotations in COCO's format.
        metric: 'bbox', 'segm' or both.
        prefix: of the returned keys.
        collect_device: 'cpu' or 'gpu', how results travel between processes.
        classwise, proposal_nums, format_only, outfile_prefix: see ``mmdet.CocoMetric``.
    """
    default_prefix = 'coco'

    def __init__(self, ann_file: str, metric: str | Sequence[str] = ('bbox', 'segm'),
                 classwise: bool = False, proposal_nums: Sequence[int] = (100, 300, 1000),
                 format_only: bool = False, outfile_prefix: str | None = None, prefix: str | None = None,
                 collect_device: str = 'cpu') -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        from mmdet.evaluation import CocoMetric  # heavy, so only where it is used
        self.ann_file = ann_file
        self.coco = CocoMetric(
            ann_file=ann_file, metric=[metric] if isinstance(metric, str) else list(metric),
            classwise=classwise, proposal_nums=proposal_nums, format_only=format_only,
            outfile_prefix=outfile_prefix)
        self._thing_of = None

    def _match_categories(self) -> None:
        """Fixes which category each thing class is, and which thing each label is."""
        if self._thing_of is not None:
            return
        classes = [name.strip() for name in self.dataset_meta['classes']]
        wanted = {name.strip() for name in self.dataset_meta.get('thing_classes', classes)}
        things = [name for name in classes if name in wanted]
        id_of = {category['name'].strip(): category['id'] for category in self.coco._coco_api.cats.values()}
        absent = [name for name in things if name not in id_of]
        if absent:
            raise ValueError(f'{self.ann_file}: its {len(id_of)} categories lack {len(absent)} of the '
                             f"data set's {len(things)} thing classes, {absent[0]!r} among them")
        self.coco.dataset_meta = {**self.dataset_meta, 'classes': tuple(things)}
        self.coco.cat_ids = [id_of[name] for name in things]
        self._thing_of = [things.index(name) if name in wanted else -1 for name in classes]

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
        self.coco.process(data_batch, relabelled)
        self.results += self.coco.results
        self.coco.results.clear()

    def compute_metrics(self, results: list) -> dict:
        """AP as mmdet names it: bbox_mAP, segm_mAP, segm_mAP_50, ..."""
        self._match_categories()
        return self.coco.compute_metrics(list({gt['img_id']: (gt, pred) for gt, pred in results}.values()))
