"""Cropping and packing for classifiers; resizing, flips and centre crops are mmcv's."""
import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmxf.registry import TRANSFORMS

from .pixels import contiguous

_INTERPOLATIONS = dict(bilinear=2, bicubic=3)      # Pillow's numbers


@TRANSFORMS.register_module()
class CropToBox(BaseTransform):
    """Cuts `crop_box` (x1, y1, x2, y2) out of the image; what lies outside repeats the border. Reads and writes `img`.

    An image without a box, such as one that a user gives to a trained model, is left whole.
    """

    def transform(self, results: dict) -> dict:
        if 'crop_box' not in results:
            return results
        img = results['img']
        height, width = img.shape[:2]
        x1, y1, x2, y2 = (round(float(value)) for value in results['crop_box'])
        inside = img[max(y1, 0):max(min(y2, height), 1), max(x1, 0):max(min(x2, width), 1)]
        if not inside.size:
            raise ValueError(f'{results.get("img_path")}: the box {results["crop_box"]} lies outside the image of {width} x '
                             f'{height} pixels')
        results['img'] = cv2.copyMakeBorder(inside, max(-y1, 0), max(y2 - height, 0), max(-x1, 0), max(x2 - width, 0),
                                            cv2.BORDER_REPLICATE)
        results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class RandomResizedCrop(BaseTransform):
    """A crop of random area and shape, resized (Inception's, arXiv:1409.4842). Resizing is Pillow's, which does not alias.

    Args:
        size: (H, W) of the result.
        area: bounds of the crop's share of the image.
        ratio: bounds of width / height, drawn from their logarithms.
        interpolations: one is drawn: 'bilinear', 'bicubic'.
    """

    def __init__(self, size: tuple[int, int], area: tuple[float, float] = (0.08, 1.0),
                 ratio: tuple[float, float] = (3 / 4, 4 / 3), interpolations: tuple[str, ...] = ('bilinear', 'bicubic')) -> None:
        self.size, self.area, self.ratio = tuple(size), tuple(area), tuple(ratio)
        self.interpolations = [_INTERPOLATIONS[name] for name in interpolations]

    def _box(self, height: int, width: int) -> tuple[float, float, float, float]:
        for _ in range(10):
            area = np.random.uniform(*self.area) * height * width
            ratio = np.exp(np.random.uniform(*np.log(self.ratio)))
            w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = np.random.randint(width - w + 1), np.random.randint(height - h + 1)
                return left, top, left + w, top + h
        # The largest crop in the middle whose shape is allowed.
        w, h = min(width, round(height * self.ratio[1])), min(height, round(width / self.ratio[0]))
        left, top = (width - w) // 2, (height - h) // 2
        return left, top, left + w, top + h

    def transform(self, results: dict) -> dict:
        from PIL import Image

        img = results['img']
        box = self._box(*img.shape[:2])
        image = Image.fromarray(contiguous(img)).resize(self.size[::-1], self.interpolations[
            np.random.randint(len(self.interpolations))], box=box)
        results['img'] = np.asarray(image)
        results['img_shape'] = self.size
        return results


@TRANSFORMS.register_module()
class PackClassificationInputs(BaseTransform):
    """To dict(inputs (3, H, W) uint8, data_samples ClassificationSample).

    Args:
        meta_keys: what of the sample's description goes along.
    """

    def __init__(self, meta_keys: tuple[str, ...] = ('img_id', 'img_path', 'ori_shape', 'img_shape', 'sample_idx')) -> None:
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict) -> dict:
        from mmxf.structures.classification import ClassificationSample

        img = results['img']
        img = img[..., None] if img.ndim == 2 else img
        sample = ClassificationSample(metainfo={key: results[key] for key in self.meta_keys if key in results})
        if 'gt_label' in results:
            sample.gt_label = torch.tensor(results['gt_label'])
        return dict(inputs=torch.from_numpy(np.ascontiguousarray(img.transpose(2, 0, 1))), data_samples=sample)
