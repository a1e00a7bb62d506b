"""RandAugment (arXiv:1909.13719) as image classifiers train with it: magnitudes around a level, each operation by chance.

mmdet's RandAugment draws no magnitudes around a level and applies every operation it draws; this is 'rand-m9-mstd0.5' and alike.
"""
from collections.abc import Callable, Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, ImageEnhance, ImageOps

from mmxf.registry import TRANSFORMS

_MOST = 10.0


def _either_sign(value: float) -> float:
    return -value if np.random.rand() > 0.5 else value


def _affine(matrix: Callable[[float, Image.Image], tuple], most: float) -> Callable:
    def apply(image: Image.Image, level: float, fill: tuple) -> Image.Image:
        value = _either_sign(level / _MOST * most)
        resample = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)[np.random.randint(2)]
        return image.transform(image.size, Image.Transform.AFFINE, matrix(value, image), resample=resample, fillcolor=fill)
    return apply


def _enhance(kind: type) -> Callable:
    return lambda image, level, fill: kind(image).enhance(level / _MOST * 1.8 + 0.1)


def _rotate(image: Image.Image, level: float, fill: tuple) -> Image.Image:
    resample = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)[np.random.randint(2)]
    return image.rotate(_either_sign(level / _MOST * 30), resample=resample, fillcolor=fill)


def _solarize_add(image: Image.Image, level: float, fill: tuple) -> Image.Image:
    add = min(128, int(level / _MOST * 110))
    return image.point([min(255, i + add) if i < 128 else i for i in range(256)] * 3)


# Name -> function of image, level (0 to 10) and fill colour.
OPERATIONS: dict[str, Callable] = {
    'AutoContrast': lambda image, level, fill: ImageOps.autocontrast(image),
    'Equalize': lambda image, level, fill: ImageOps.equalize(image),
    'Invert': lambda image, level, fill: ImageOps.invert(image),
    'Rotate': _rotate,
    'Posterize': lambda image, level, fill: ImageOps.posterize(image, max(1, int(level / _MOST * 4))) if level >= 2.5 else
    image.point([0] * 768),
    'Solarize': lambda image, level, fill: ImageOps.solarize(image, min(256, int(level / _MOST * 256))),
    'SolarizeAdd': _solarize_add,
    'Color': _enhance(ImageEnhance.Color),
    'Contrast': _enhance(ImageEnhance.Contrast),
    'Brightness': _enhance(ImageEnhance.Brightness),
    'Sharpness': _enhance(ImageEnhance.Sharpness),
    'ShearX': _affine(lambda v, image: (1, v, 0, 0, 1, 0), 0.3),
    'ShearY': _affine(lambda v, image: (1, 0, 0, v, 1, 0), 0.3),
    'TranslateX': _affine(lambda v, image: (1, 0, v * image.size[0], 0, 1, 0), 0.45),
    'TranslateY': _affine(lambda v, image: (1, 0, 0, 0, 1, v * image.size[1]), 0.45),
}


@TRANSFORMS.register_module()
class RandAugment(BaseTransform):
    """Draws `num_ops` of the 15 operations, with replacement; each is applied with probability `prob`.

    Reads and writes `img` (H, W, 3) uint8 BGR.

    Args:
        num_ops: operations an image.
        magnitude: 0 to 10.
        magnitude_std: of the normal distribution that each operation's level is drawn from.
        prob: of each operation that was drawn.
        fill: colour (BGR) of what affine operations uncover.
    """

    def __init__(self, num_ops: int = 2, magnitude: float = 9, magnitude_std: float = 0.5, prob: float = 0.5,
                 fill: Sequence[int] = (104, 116, 124)) -> None:
        if not 0 <= magnitude <= _MOST:
            raise ValueError(f'RandAugment: magnitude must be within 0 and {_MOST:g}, got {magnitude}')
        self.num_ops, self.magnitude, self.magnitude_std, self.prob = num_ops, magnitude, magnitude_std, prob
        self.fill = tuple(fill)[::-1]

    def transform(self, results: dict) -> dict:
        image = Image.fromarray(np.ascontiguousarray(results['img'][..., ::-1]))
        names = list(OPERATIONS)
        for index in np.random.randint(len(names), size=self.num_ops):
            if np.random.rand() < self.prob:
                level = float(np.clip(np.random.normal(self.magnitude, self.magnitude_std), 0, _MOST))
                image = OPERATIONS[names[index]](image, level, self.fill)
        results['img'] = np.ascontiguousarray(np.asarray(image)[..., ::-1])
        return results
