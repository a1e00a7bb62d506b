"""Test-time augmentation of mask-classification models: the image, resized and mirrored.

Queries of two views have no common order, so each view's queries are first matched to those of the plain image, by the overlap of
their masks times the agreement of their classes; matched queries then average their probabilities.
"""
from collections.abc import Sequence
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mmxf.registry import MODELS

EPS = 1e-6


@MODELS.register_module()
class PanopticTTA(BaseModel):
    """A `PanopticSegmentor` that looks at several views of each image.

    Args:
        module: config of the segmentor, or the segmentor.
        scales: sizes of the views as multiples of the input's; 1.0 must be among them, as it gives the order of the queries.
        flip: whether each view is also taken mirrored left to right.

    Raises:
        ValueError: when 1.0 is not among the scales.
    """

    def __init__(self, module: dict, scales: Sequence[float] = (1.0,), flip: bool = True) -> None:
        super().__init__()
        if 1.0 not in scales:
            raise ValueError(f'scales must hold 1.0, the view that gives the order of the queries; got {scales}')
        self.module = MODELS.build(module) if isinstance(module, dict) else module
        self._register_load_state_dict_pre_hook(_take_the_segmentors_checkpoint)
        views = [(scale, mirrored) for scale in scales for mirrored in ((False, True) if flip else (False,))]
        self.views = [view for view in views if view != (1.0, False)]

    def forward(self, inputs: Tensor, data_samples: list, mode: str = 'predict'):
        """As the segmentor's 'predict'; other modes are not offered."""
        if mode != 'predict':
            raise ValueError(f"test-time augmentation has only mode='predict', got {mode!r}")
        for image, sample in zip(inputs, data_samples):
            prediction = self.module(image[None], mode='tensor')
            height, width = sample.img_shape[:2]
            class_probs, mask_probs = self._probabilities(prediction)
            places = _places(mask_probs.shape[-2:], image.shape[-2:], mask_probs)
            classes, masks = [class_probs], [mask_probs]
            for scale, mirrored in self.views:
                c, m = self._look(image[:, :height, :width], image.shape[-2:], places, scale, mirrored)
                order = _match(class_probs, mask_probs, c, m)
                classes.append(c[order])
                masks.append(m[order])
            merged = SimpleNamespace(class_logits=torch.stack(classes).mean(0).clamp(min=EPS).log()[None],
                                     mask_logits=torch.stack(masks).mean(0).clamp(min=EPS).log()[None])
            result = self.module.head.predict(merged, 0, image.shape[-2:], (height, width), sample.ori_shape[:2],
                                              self.module.outputs)
            self.module.fill(sample, result, self.module.num_classes)
        return data_samples

    def test_step(self, data: dict) -> list:
        """A batch of packed samples to results."""
        data = self.module.data_preprocessor(data, False)
        return self.forward(**data)

    @staticmethod
    def _probabilities(prediction: dict) -> tuple[Tensor, Tensor]:
        return prediction['class_logits'][0].float().softmax(-1), prediction['mask_logits'][0].float().softmax(0)

    def _look(self, real: Tensor, padded: Sequence[int], places: tuple[Tensor, Tensor], scale: float,
              mirrored: bool) -> tuple[Tensor, Tensor]:
        """One view's class probabilities (Q, K + 1) and mask probabilities (Q, h, w), read at the plain image's places."""
        height, width = real.shape[-2:]
        size = [max(1, round(side * scale)) for side in (height, width)]
        view = F.interpolate(real[None], size=size, mode='bilinear', align_corners=padded[1] % 2 == 1)
        view = view.flip(-1) if mirrored else view
        # The padded size keeps the parity of the plain one, on which the rule for corners hangs.
        full = [max(round((side - side % 2) * scale / 32) * 32 + side % 2, 33) for side in padded]
        full = [side if side >= part else -(-part // 32) * 32 + side % 2 for side, part in zip(full, size)]
        view = F.pad(view, (0, full[1] - size[1], 0, full[0] - size[0]))
        class_probs, mask_probs = self._probabilities(self.module(view, mode='tensor'))
        y, x = (place * ((new - 1) / max(old - 1, 1)) for place, new, old in zip(places, size, (height, width)))
        x = size[1] - 1 - x if mirrored else x
        align_corners = padded[1] % 2 == 1
        y, x = (_unit(place, side, align_corners) for place, side in ((y, full[0]), (x, full[1])))
        grid = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1)[None]
        masks = F.grid_sample(mask_probs[None], grid, mode='bilinear', padding_mode='border',
                              align_corners=align_corners)[0]
        return class_probs, masks


def _take_the_segmentors_checkpoint(state_dict: dict, prefix: str, *_) -> None:
    """A checkpoint of the segmentor alone loads as well: its keys lack the `module.`."""
    for key in [key for key in state_dict if key.startswith(prefix) and not key.startswith(f'{prefix}module.')]:
        state_dict[f'{prefix}module.{key[len(prefix):]}'] = state_dict.pop(key)


def _places(map_size: Sequence[int], padded: Sequence[int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Where rows and columns of a map lie in its padded input, in pixels."""
    if padded[1] % 2 == 1:
        return tuple(torch.linspace(0, side - 1, n).to(like) for n, side in zip(map_size, padded))
    return tuple(((torch.arange(n) + 0.5) * side / n - 0.5).to(like) for n, side in zip(map_size, padded))


def _unit(place: Tensor, side: int, align_corners: bool) -> Tensor:
    """Pixel positions on grid_sample's scale from -1 to 1."""
    return 2 * place / (side - 1) - 1 if align_corners else (2 * place + 1) / side - 1


def _match(classes: Tensor, masks: Tensor, view_classes: Tensor, view_masks: Tensor) -> Tensor:
    """For each query the view's query that says the same."""
    a, b = masks.flatten(1), view_masks.flatten(1)                       # (Q, P)
    overlap = 2 * a @ b.t() / (a.sum(1)[:, None] + b.sum(1)[None] + EPS)
    score = overlap * (classes @ view_classes.t())
    _, order = linear_sum_assignment(-score.cpu().numpy())
    return torch.as_tensor(order, device=masks.device)
