"""From panoptic segments to a map of classes, for semantic segmentors on panoptic data."""
import numpy as np
from mmcv.transforms import BaseTransform

from mmxf.registry import TRANSFORMS


@TRANSFORMS.register_module()
class SegmentsToClasses(BaseTransform):
    """`gt_seg_map` of segment ids, as `LoadPanopticSegments` leaves it, to class labels; crowds and void become `ignore`.

    Args:
        ignore: label of pixels without a class.
    """

    def __init__(self, ignore: int = 255) -> None:
        self.ignore = ignore

    def transform(self, results: dict) -> dict:
        ids, place = np.unique(results['gt_seg_map'], return_inverse=True)
        labels = {segment['id']: segment['label'] for segment in results['segments_info'] if not segment.get('iscrowd')}
        table = np.array([labels.get(int(i), self.ignore) for i in ids], np.uint8)
        results['gt_seg_map'] = table[place].reshape(results['gt_seg_map'].shape)
        results['seg_fields'] = ['gt_seg_map']
        results['reduce_zero_label'] = False
        return results
