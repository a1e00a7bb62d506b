"""Panoptic copy-paste: segments of a second image laid over the first."""

import os

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from mmxf.registry import TRANSFORMS

from .pixels import contiguous, lookup


@TRANSFORMS.register_module()
class PanopticCopyPaste(BaseTransform):
    """Paste segments of a second, randomly drawn image, as kMaX-DeepLab (arXiv:2207.04044) trains.

    Of the second image's segments that are no crowd, all things are pasted, and of the stuff what is among
    the first k after shuffling all of them, k uniform in 0..their number. Both images lie with their top left
    corners together. A stuff class in both is one segment afterwards. What is pasted onto padding makes it
    real pixels.

    Needs ``mix_infos``, which PanopticDataset provides to transforms with ``get_indices``. Changes ``img``,
    ``gt_seg_map``, ``segments_info``, ``real_pixel_mask``; writes ``mix_img_paths``.

    Args:
        pipeline: Loads and jitters the second image; must not make it larger than the first then is.
        prob: Of pasting.
    """

    def __init__(self, pipeline: list[dict], prob: float = 1.0):
        if not 0 <= prob <= 1:
            raise ValueError(f'PanopticCopyPaste: prob={prob} is no probability')
        self.pipeline = Compose([TRANSFORMS.build(t) if isinstance(t, dict) else t for t in pipeline])
        self.prob = prob

    def get_indices(self, dataset) -> list[int]:
        """Which image comes second: any, with the same probability; none when nothing is pasted this time."""
        return [np.random.randint(len(dataset))] if self.prob == 1 or np.random.rand() < self.prob else []

    def transform(self, results: dict) -> dict | None:
        if 'mix_infos' not in results:
            raise KeyError(
                'PanopticCopyPaste needs mix_infos: use it in the pipeline of a PanopticDataset (or give '
                'results["mix_infos"], a list with the dict of the second image)'
            )
        infos = results.pop('mix_infos')
        if not infos:
            return results
        try:
            second = self._load(infos[0])
        except Exception as error:
            # So that who counts bad samples (TolerantDataset) blames this image and not the first.
            error.sample_index = infos[0].get('sample_idx')
            raise
        if second is None:
            return None
        return paste_segments(results, second, choose_segments(second['segments_info']))

    def _load(self, info: dict) -> dict | None:
        from mmxf.datasets.tolerant import ends_early  # imports the engine

        for key in ('img_path', 'seg_map_path'):
            if info.get(key) and os.path.isfile(info[key]) and ends_early(info[key]):
                raise ValueError(f'{info[key]} is cut off: its end is missing')
        return self.pipeline(info)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(pipeline={self.pipeline}, prob={self.prob})'


def choose_segments(segments_info: list[dict]) -> list[dict]:
    """The segments to paste, at random: all things, and the stuff among the first k of the shuffled list."""
    candidates = [s for s in segments_info if not s['iscrowd']]
    order = np.random.permutation(len(candidates))
    kept = set(order[: np.random.randint(len(candidates) + 1)].tolist())
    return [s for i, s in enumerate(candidates) if s['isthing'] or i in kept]


def paste_segments(first: dict, second: dict, segments: list[dict]) -> dict:
    """Lay ``segments`` of the sample ``second`` over ``first``, in place where it can be.

    Args:
        first: Sample with ``img`` (H, W, 3), ``gt_seg_map`` (H, W) int32, ``segments_info``, perhaps
            ``real_pixel_mask`` (H, W) bool.
        second: Sample with ``img`` (h, w, 3), ``gt_seg_map`` (h, w), h <= H, w <= W.
        segments: Those of ``second['segments_info']`` to paste.

    Raises:
        ValueError: the second image is larger.
    """
    h, w = second['img'].shape[:2]
    if h > first['img'].shape[0] or w > first['img'].shape[1]:
        raise ValueError(
            f'PanopticCopyPaste: the second image is {h}x{w} (height x width), larger than the first, '
            f'{first["img"].shape[0]}x{first["img"].shape[1]}; pad the first before, and jitter the '
            'second to the same size at most'
        )
    next_id = 1 + max((s['id'] for s in first['segments_info']), default=0)
    stuff = {s['label']: s['id'] for s in first['segments_info'] if not s['isthing'] and not s['iscrowd']}
    table = np.zeros(
        2 + max((s['id'] for s in segments), default=0), np.int32
    )  # id -> new id, 0 = not pasted
    merged = list(first['segments_info'])
    for segment in segments:
        if not segment['isthing'] and segment['label'] in stuff:
            table[segment['id']] = stuff[segment['label']]
            continue
        table[segment['id']] = next_id
        merged.append({**segment, 'id': next_id})
        next_id += 1

    ids = lookup(table, second['gt_seg_map'])
    mask = (ids != 0).view(np.uint8)
    for key, new in (('img', contiguous(second['img'])), ('gt_seg_map', ids)):
        target = contiguous(first[key]) if first[key].flags.writeable else first[key].copy()
        cv2.copyTo(new, mask, target[:h, :w])
        first[key] = target
    if first.get('real_pixel_mask') is not None:
        first['real_pixel_mask'][:h, :w] |= mask.view(bool)
    first['segments_info'] = merged
    first['mix_img_paths'] = [*first.get('mix_img_paths', ()), second.get('img_path')]
    return first
