"""Resizing, cropping and padding of an image together with its segment map."""

import numpy as np
from mmcv.transforms import BaseTransform

from mmxf.registry import TRANSFORMS

from .pixels import contiguous, nearest_labels, resize_image

# Annotations that these transforms would silently leave behind.
_UNHANDLED = ('gt_bboxes', 'gt_masks', 'gt_keypoints')


def check_size(size, owner: str) -> tuple[int, int]:
    """(height, width) from a pair of positive integers; ValueError otherwise."""
    if np.ndim(size) != 1 or len(size) != 2 or any(int(s) != s or s < 1 for s in size):
        raise ValueError(f'{owner}: a size is (height, width) in pixels, got {size!r}')
    return int(size[0]), int(size[1])


def _check_annotations(results: dict, owner: str) -> None:
    left = [key for key in _UNHANDLED if results.get(key) is not None]
    if left:
        raise NotImplementedError(
            f'{owner} moves the image and gt_seg_map only, this sample has {left}; use '
            'mmdet.RandomResize and mmdet.RandomCrop for boxes, masks and points'
        )


@TRANSFORMS.register_module()
class LargeScaleJitter(BaseTransform):
    """Random scale, then a random crop of at most ``size``: "large-scale jitter" (Ghiasi et al.,
    arXiv:2012.07177).

    As detectron2's ResizeScale and absolute RandomCrop: the image is fitted, aspect kept, into ``size`` times
    a factor uniform in ``scale_range``; of what then is larger than ``size`` a window is kept, uniform over
    its positions. Nothing is padded (see PadToSize).

    Reads and writes ``img`` (H, W, 3) uint8 and, when present, ``gt_seg_map`` (H, W); writes ``img_shape``
    and ``scale_factor`` (width, height).

    Args:
        size: (height, width) that factor 1 fits into, and of the crop.
        scale_range: Smallest and largest factor.
    """

    def __init__(self, size: tuple[int, int], scale_range: tuple[float, float] = (0.1, 2.0)):
        self.size = check_size(size, 'LargeScaleJitter')
        if not 0 < scale_range[0] <= scale_range[1]:
            raise ValueError(f'LargeScaleJitter: scale_range is (smallest, largest) > 0, got {scale_range}')
        self.scale_range = tuple(scale_range)

    def transform(self, results: dict) -> dict:
        _check_annotations(results, 'LargeScaleJitter')
        img = results['img']
        old = img.shape[:2]
        new = scaled_size(old, self.size, np.random.uniform(*self.scale_range))
        height, width = min(self.size[0], new[0]), min(self.size[1], new[1])
        top = np.random.randint(new[0] - height + 1)
        left = np.random.randint(new[1] - width + 1)
        results['img'] = resize_image(img, new)[top : top + height, left : left + width]
        if results.get('gt_seg_map') is not None:
            results['gt_seg_map'] = nearest_labels(results['gt_seg_map'], new, (top, left, height, width))
        results.update(img_shape=(height, width), scale_factor=(new[1] / old[1], new[0] / old[0]))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, scale_range={self.scale_range})'


def scaled_size(old: tuple[int, int], target: tuple[int, int], factor: float) -> tuple[int, int]:
    """(height, width) of an image of size ``old`` fitted into ``factor * target``, rounded half to even."""
    scale = min(target[0] * factor / old[0], target[1] * factor / old[1])
    return max(1, int(np.round(old[0] * scale))), max(1, int(np.round(old[1] * scale)))


@TRANSFORMS.register_module()
class ResizeToFit(BaseTransform):
    """Resize, aspect kept, to the largest size that fits into ``size``: the test-time resizing.

    Rounds like detectron2's ResizeShortestEdge(min(size), max(size)), which it equals unless an upright image
    meets a ``size`` that lies (1025x2049): that would stick out there and is made to fit here. ``gt_seg_map``
    is left alone by default: predictions are compared at the original size.

    Args:
        size: (height, width).
        resize_labels: Resize ``gt_seg_map`` too.
    """

    def __init__(self, size: tuple[int, int], resize_labels: bool = False):
        self.size = check_size(size, 'ResizeToFit')
        self.resize_labels = resize_labels

    def transform(self, results: dict) -> dict:
        _check_annotations(results, 'ResizeToFit')
        old = results['img'].shape[:2]
        new = fitted_size(old, self.size)
        results['img'] = resize_image(results['img'], new, exact=True)
        if self.resize_labels and results.get('gt_seg_map') is not None:
            results['gt_seg_map'] = nearest_labels(results['gt_seg_map'], new, (0, 0, *new))
        results.update(img_shape=new, scale_factor=(new[1] / old[1], new[0] / old[0]))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, resize_labels={self.resize_labels})'


def fitted_size(old: tuple[int, int], box: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image of size ``old`` resized to fit into ``box``, rounded half up.

    Shorter side first, then shrunk by the longer: the same floating point operations as detectron2's
    ``ResizeShortestEdge.get_output_shape``, so that ties round the same way.
    """
    h, w = old
    short, long = min(box), max(box)
    scale = short * 1.0 / min(h, w)
    height, width = (short * 1.0, scale * w) if h < w else (scale * h, short * 1.0)
    if max(height, width) > long:
        shrink = long * 1.0 / max(height, width)
        height, width = height * shrink, width * shrink
    if int(height + 0.5) > box[0] or int(width + 0.5) > box[1]:
        scale = min(box[0] / h, box[1] / w)
        height, width = h * scale, w * scale
    return max(1, int(height + 0.5)), max(1, int(width + 0.5))


@TRANSFORMS.register_module()
class PadToSize(BaseTransform):
    """Pad image (zeros) and segment map (0 = void) at right and bottom to ``size``.

    When something was padded, writes ``real_pixel_mask`` (H, W) bool, False on padding, for the preprocessor
    to zero after normalisation; writes ``img_shape`` and ``pad_shape``.

    Args:
        size: (height, width).

    Raises:
        ValueError: the image is larger than ``size``.
    """

    def __init__(self, size: tuple[int, int]):
        self.size = check_size(size, 'PadToSize')

    def transform(self, results: dict) -> dict:
        _check_annotations(results, 'PadToSize')
        h, w = results['img'].shape[:2]
        if h > self.size[0] or w > self.size[1]:
            raise ValueError(
                f'PadToSize: the image {results.get("img_path", "")} is {h}x{w} (height x width), larger '
                f'than size={self.size}; put LargeScaleJitter or ResizeToFit of that size before it'
            )
        if (h, w) != self.size:
            for key in ('img', 'gt_seg_map'):
                if results.get(key) is not None:
                    padded = np.zeros(self.size + results[key].shape[2:], results[key].dtype)
                    padded[:h, :w] = contiguous(results[key])
                    results[key] = padded
            real = results.get('real_pixel_mask')
            mask = np.zeros(self.size, bool)
            mask[:h, :w] = True if real is None else real
            results['real_pixel_mask'] = mask
        results['img_shape'] = results['pad_shape'] = self.size
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size})'
