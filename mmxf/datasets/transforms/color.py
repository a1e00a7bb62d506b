"""Colour augmentation."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmxf.registry import TRANSFORMS

from .pixels import contiguous


@TRANSFORMS.register_module()
class SSDColorJitter(BaseTransform):
    """Brightness, contrast, saturation and hue of SSD (Liu et al., arXiv:1512.02325), each with probability
    1/2.

    Contrast comes, by the toss of a coin, before or after saturation and hue. As detectron2's
    ColorAugSSDTransform, on 8-bit images throughout: results are clipped to 0..255 and truncated at every
    step, hue turns by up to ``hue_delta`` of OpenCV's 180 steps (2 degrees each). mmdet's
    PhotoMetricDistortion is another augmentation: it works in float32 without clipping, turns hue by up to
    ``hue_delta`` degrees, and swaps channels. All steps are table look-ups, and saturation and hue share one
    conversion to HSV and back.

    Reads and writes ``img`` (H, W, 3) uint8 BGR.

    Args:
        brightness_delta: Largest shift, in grey levels.
        contrast_range: Factors.
        saturation_range: Factors.
        hue_delta: Largest turn, in steps of 2 degrees.
    """

    def __init__(
        self,
        brightness_delta: float = 32,
        contrast_range: tuple[float, float] = (0.5, 1.5),
        saturation_range: tuple[float, float] = (0.5, 1.5),
        hue_delta: int = 18,
    ):
        self.brightness_delta = brightness_delta
        self.contrast_range = tuple(contrast_range)
        self.saturation_range = tuple(saturation_range)
        self.hue_delta = hue_delta

    def transform(self, results: dict) -> dict:
        if results['img'].dtype != np.uint8:
            raise TypeError(
                f'SSDColorJitter works on uint8 images, got {results["img"].dtype}; load with '
                'to_float32=False and place it before any normalisation'
            )
        contrast_first, *use = np.random.randint(2, size=5).astype(bool)
        same = np.arange(256, dtype=np.uint8)
        bright = (
            _table(same, 1, np.random.uniform(-self.brightness_delta, self.brightness_delta))
            if use[0]
            else same
        )
        contrast = _table(same, np.random.uniform(*self.contrast_range)) if use[1] else same
        saturation = _table(same, np.random.uniform(*self.saturation_range)) if use[2] else same
        turn = np.random.randint(-self.hue_delta, self.hue_delta + 1) if use[3] else 0

        img = _apply(contiguous(results['img']), contrast[bright] if contrast_first else bright)
        if use[2] or turn:
            hue = ((np.arange(256) + turn) % 180).astype(np.uint8)
            hsv = cv2.cvtColor(img, cv2.COLOR_BGR2HSV)
            img = cv2.cvtColor(cv2.LUT(hsv, np.dstack([hue, saturation, same])), cv2.COLOR_HSV2BGR)
        results['img'] = img if contrast_first else _apply(img, contrast)
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(brightness_delta={self.brightness_delta}, '
            f'contrast_range={self.contrast_range}, saturation_range={self.saturation_range}, '
            f'hue_delta={self.hue_delta})'
        )


def _table(values: np.ndarray, factor: float, shift: float = 0.0) -> np.ndarray:
    return np.clip(values.astype(np.float32) * factor + shift, 0, 255).astype(np.uint8)


def _apply(img: np.ndarray, table: np.ndarray) -> np.ndarray:
    return img if (table == np.arange(256)).all() else cv2.LUT(img, table)
