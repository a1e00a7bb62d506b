"""Loading of panoptic segments, and their packing into what panoptic models train on.

Between the two a sample holds ``gt_seg_map`` (H, W) int32, segment ids with 0 = void, and ``segments_info``,
a list of dicts ``id``, ``label`` (class index), ``isthing``, ``iscrowd``. The name ``gt_seg_map`` makes
mmcv's and mmdet's geometric transforms carry it along.
"""

import logging

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine import fileio
from mmengine.logging import print_log
from mmengine.structures import InstanceData, PixelData

from mmxf.registry import TRANSFORMS

from .pixels import contiguous, lookup

# How many files with unlisted segments each process warns of.
_WARNINGS = 10


@TRANSFORMS.register_module()
class LoadPanopticSegments(BaseTransform):
    """Read the PNG of segment ids (R + 256 G + 65536 B).

    Ids are renumbered 1..N in the order of ``segments_info``, in the map and in the list, which keeps tables
    over ids small in all later transforms; ``file_id`` is the id in the file. Stuff that a file lists several
    times for one class becomes one segment. Ids in the PNG that the list lacks are void.

    Reads ``seg_map_path``, ``segments_info`` and, when there, ``img`` for its size. Writes ``gt_seg_map`` (H,
    W) int32 and ``segments_info``.

    Args:
        unknown: What to do on ids that ``segments_info`` lacks: 'warn' or 'error'.
        backend_args: Of mmengine.fileio, for other places than the local disk.

    Raises:
        FileNotFoundError, ValueError: no PNG; one that cannot be decoded, or of another size than the image.
    """

    def __init__(self, unknown: str = 'warn', backend_args: dict | None = None):
        if unknown not in ('warn', 'error'):
            raise ValueError(f"LoadPanopticSegments: unknown is 'warn' or 'error', got {unknown!r}")
        self.unknown = unknown
        self.backend_args = backend_args
        self._warned = 0
        # id -> index + 1; kept, because 2**24 fresh entries a sample cost more than everything else here.
        self._table = None

    def transform(self, results: dict) -> dict:
        path = results.get('seg_map_path')
        if not path or 'segments_info' not in results:
            raise ValueError(
                f'LoadPanopticSegments: image {results.get("img_path")} has no panoptic PNG; give the '
                "dataset data_prefix=dict(seg=...) and an annotation file with 'annotations', or leave "
                'LoadPanopticSegments out of a test pipeline'
            )
        ids = read_segment_ids(path, self.backend_args)
        if 'img' in results and results['img'].shape[:2] != ids.shape:
            raise ValueError(
                f'{path} is {ids.shape[0]}x{ids.shape[1]} (height x width), its image '
                f'{results.get("img_path")} {results["img"].shape[0]}x{results["img"].shape[1]}; are seg '
                'and img in data_prefix of the same split?'
            )
        segments, index_of = _renumber(results['segments_info'], path)
        results['gt_seg_map'] = self._look_up(ids, index_of)
        results['segments_info'] = segments
        unknown = (results['gt_seg_map'] == 0) & (ids != 0)
        if unknown.any():
            message = (
                f'{path}: {int(unknown.sum())} pixels of segments that the annotation file does not list, '
                f'ids {np.unique(ids[unknown])[:5].tolist()}'
            )
            if self.unknown == 'error':
                raise ValueError(message)
            self._warned += 1
            if self._warned <= _WARNINGS:
                more = '; no more of these warnings' if self._warned == _WARNINGS else ''
                print_log(f'{message}; taken as void{more}', logger='current', level=logging.WARNING)
        return results

    def _look_up(self, ids: np.ndarray, index_of: dict[int, int]) -> np.ndarray:
        if self._table is None:
            self._table = np.zeros(1 << 24, np.uint16)
        keys = np.fromiter(index_of, np.int64, len(index_of))
        self._table[keys] = np.fromiter(index_of.values(), np.int64, len(index_of))
        found = self._table.take(ids).astype(np.int32)
        self._table[keys] = 0
        return found

    def __getstate__(self) -> dict:
        return {**self.__dict__, '_table': None}

    def __repr__(self) -> str:
        return f'{type(self).__name__}(unknown={self.unknown!r}, backend_args={self.backend_args})'


def read_segment_ids(path: str, backend_args: dict | None = None) -> np.ndarray:
    """(H, W) int32 ids of a panoptic PNG; FileNotFoundError or ValueError names a file that is absent or
    broken."""
    data = fileio.get(path, backend_args=backend_args)
    bgr = mmcv.imfrombytes(data, flag='color_ignore_orientation', backend='cv2') if data else None
    if bgr is None:
        raise ValueError(f'failed to decode the panoptic PNG {path} ({len(data)} bytes)')
    # R, G, B, A in memory is a little-endian integer with the id in its lower three bytes.
    ids = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGBA).view('<i4')[..., 0]
    ids &= 0xFFFFFF
    return ids


def _renumber(segments_info: list[dict], path: str) -> tuple[list[dict], dict[int, int]]:
    segments, index_of, stuff = [], {}, {}
    for segment in segments_info:
        key = segment['id']
        if not 0 < key < 1 << 24 or key in index_of:
            raise ValueError(
                f'{path}: the annotation file lists segment id {key} '
                f'{"twice" if key in index_of else "(1..16777215 are possible)"}'
            )
        if not segment['isthing'] and not segment['iscrowd']:
            if segment['label'] in stuff:
                index_of[key] = stuff[segment['label']]
                continue
            stuff[segment['label']] = len(segments) + 1
        index_of[key] = len(segments) + 1
        segments.append({**segment, 'id': len(segments) + 1, 'file_id': key})
    return segments, index_of


@TRANSFORMS.register_module()
class PackPanopticInputs(BaseTransform):
    """Make tensors: ``inputs`` (3, H, W) uint8 and ``data_samples``, a DetDataSample.

    The data sample holds, when the sample has annotations, ``gt_instances.labels`` (N,) int64 and
    ``gt_panoptic_index``, PixelData with ``data`` (1, h, w) int64: which of the N segments owns the pixel, -1
    = void; taken at every ``mask_stride``-th pixel from the first, h = ceil(H / mask_stride). Crowds are
    void, segments without a pixel left are dropped. And ``real_pixel_mask``, PixelData with ``data`` (1, H,
    W) bool, when the image was padded.

    Args:
        mask_stride: Stride of the targets.
        min_labelled: A sample whose targets have no segment, or at most this many labelled pixels, makes the
            pipeline return None, on which the dataset draws another. A number of pixels (an int), or a share
            of the targets' pixels (a float below 1). 0 keeps every sample. kMaX-DeepLab: 4096 of 321x321.
        meta_keys: What of the sample's description goes along.
    """

    def __init__(
        self,
        mask_stride: int = 4,
        min_labelled: int | float = 0,
        meta_keys: tuple[str, ...] = (
            'img_id',
            'img_path',
            'mix_img_paths',
            'ori_shape',
            'img_shape',
            'scale_factor',
            'flip',
            'flip_direction',
            'sample_idx',
        ),
    ):
        if mask_stride < 1 or min_labelled < 0 or (isinstance(min_labelled, float) and min_labelled >= 1):
            raise ValueError(
                f'PackPanopticInputs: mask_stride={mask_stride} must be at least 1 and '
                f'min_labelled={min_labelled} a number of pixels (int) or a share below 1 (float)'
            )
        # Here and not at the top: mmdet takes seconds to import.
        from mmdet.structures import DetDataSample

        self._sample_type = DetDataSample
        self.mask_stride = mask_stride
        self.min_labelled = min_labelled
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict | None:
        sample = self._sample_type(metainfo={k: results[k] for k in self.meta_keys if k in results})
        if results.get('gt_seg_map') is not None:
            index, labels, labelled = pack_segments(
                results['gt_seg_map'][:: self.mask_stride, :: self.mask_stride], results['segments_info']
            )
            if self.min_labelled and (len(labels) == 0 or labelled <= self._fewest(index.size)):
                return None
            sample.gt_instances = InstanceData(labels=torch.from_numpy(labels))
            sample.gt_panoptic_index = PixelData(data=torch.from_numpy(index)[None])
        if results.get('real_pixel_mask') is not None:
            sample.real_pixel_mask = PixelData(data=torch.from_numpy(results['real_pixel_mask'])[None])
        return dict(inputs=torch.from_numpy(channels_first(results['img'])), data_samples=sample)

    def _fewest(self, pixels: int) -> int:
        if isinstance(self.min_labelled, int):
            if self.min_labelled >= pixels:
                raise ValueError(
                    f'PackPanopticInputs: min_labelled={self.min_labelled}, but the targets have {pixels} '
                    'pixels in all; give a share of them instead, such as min_labelled=0.04'
                )
            return self.min_labelled
        return round(self.min_labelled * pixels)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(mask_stride={self.mask_stride}, min_labelled={self.min_labelled})'


def pack_segments(seg_map: np.ndarray, segments_info: list[dict]) -> tuple[np.ndarray, np.ndarray, int]:
    """Segment ids -> indices 0..N-1 of the segments that are no crowd and own a pixel, in the order of the
    list.

    Args:
        seg_map: (h, w) int, ids; 0 = void, as is every id that the list lacks.
        segments_info: dicts ``id``, ``label``, ``iscrowd``.

    Returns:
        (h, w) int64 indices, -1 = void; (N,) int64 labels; number of labelled pixels.
    """
    segments = [s for s in segments_info if not s['iscrowd']]
    table = np.zeros(max((s['id'] for s in segments), default=0) + 2, np.int64)
    table[[s['id'] for s in segments]] = np.arange(1, len(segments) + 1)
    rank = lookup(table, seg_map)  # 0 = void
    area = np.bincount(rank.ravel(), minlength=len(segments) + 1)
    kept = np.flatnonzero(area[1:])
    compact = np.full(len(segments) + 1, -1, np.int64)
    compact[kept + 1] = np.arange(len(kept))
    labels = np.array([segments[i]['label'] for i in kept], np.int64)
    return compact[rank], labels, int(area[1:].sum())


def channels_first(img: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (C, H, W), contiguous."""
    img = contiguous(img)
    out = np.empty((img.shape[2], *img.shape[:2]), img.dtype)
    cv2.split(img, list(out))
    return out
