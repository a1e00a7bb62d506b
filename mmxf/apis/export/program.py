"""What of a model is exported: tensors in, tensors out, normalisation included, nothing that asks for mmxf afterwards.

A task's program is found by the class of the model or of one of its bases; a model that brings an attribute
``export_program`` (a function of the model that returns a `Program`) is served first.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmxf.config import UserError
from mmxf.structures.skeleton import mirror


class Program(nn.Module):
    """A model between plain tensors.

    Args:
        model: in eval mode.

    Attributes:
        inputs, outputs: names, in order.
        dynamic: of each input, axis -> name, those that may vary beside the batch.
        evidence: an output that is 0 where the model found nothing; equal to that, a file has shown nothing.
        least_torch, least_torch_any_size: the oldest torch that can trace it, of one size and of any.
        onnx: whether the file will be ONNX; parts that ONNX has an operator for then use it.
        notes: what a user of the file must know, written beside it.
    """

    inputs: tuple[str, ...] = ('image',)
    outputs: tuple[str, ...] = ()
    dynamic: dict[str, dict[int, str]] = {}
    evidence: str | None = None
    least_torch = '2.4'
    least_torch_any_size = '2.7'
    onnx = False

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.notes: dict[str, Any] = {}
        meta = getattr(model, 'dataset_meta', None) or {}
        if meta.get('classes'):
            self.notes['classes'] = list(meta['classes'])

    def arguments(self, batch: dict) -> tuple[Tensor, ...]:
        """The inputs for a batch that has passed the model's data preprocessor, dict(inputs, data_samples)."""
        raise NotImplementedError

    def expected(self, batch: dict) -> tuple[Tensor, ...]:
        """What the model itself says to the same batch, on the path that it takes in inference."""
        raise NotImplementedError

    def align(self, got: Sequence[Tensor], expected: Sequence[Tensor]) -> Sequence[Tensor]:
        """A file's outputs in the order of the model's, where an output is a set."""
        return got


class ImageProgram(Program):
    """Programs on images: float32 (B, 3, H, W) RGB, 0-255, already resized and padded as `notes` says."""

    dynamic = {'image': {2: 'height', 3: 'width'}}

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        prepare = model.data_preprocessor
        for name, neutral in (('mean', torch.zeros(3)), ('std', torch.ones(3))):
            value = getattr(prepare, name, neutral)
            self.register_buffer(name, torch.as_tensor(value).detach().clone().float().view(3, 1, 1))
        # OpenMMLab's preprocessors that swap no channels see what OpenCV reads.
        swaps = (getattr(prepare, name) for name in ('bgr_to_rgb', '_channel_conversion', 'channel_conversion')
                 if hasattr(prepare, name))
        self.bgr = not next(swaps, True)
        self.notes.update(input='float32 (batch, 3, height, width), ' + ('BGR' if self.bgr else 'RGB') + ', 0-255',
                          pad_value=[round(float(v), 4) for v in self.mean.flatten()])

    def normalise(self, image: Tensor) -> Tensor:
        """(B, 3, H, W), 0-255, to what the network sees."""
        return (image - self.mean) / self.std

    def arguments(self, batch: dict) -> tuple[Tensor, ...]:
        return ((batch['inputs'] * self.std + self.mean).contiguous(),)


class PanopticProgram(ImageProgram):
    """Class probabilities of every query, void last, and the queries' mask logits at a quarter of the size."""

    outputs = ('class_probs', 'mask_logits')
    least_torch_any_size = '2.4'

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        head = model.head
        self.notes.update(thing_labels=list(head.thing_labels), pixel_threshold=head.pixel_threshold, **head.panoptic_rule)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        out = self.model(self.normalise(image), mode='tensor')
        return out['class_logits'].softmax(-1), out['mask_logits']

    def expected(self, batch: dict) -> tuple[Tensor, ...]:
        out = self.model(batch['inputs'], mode='tensor')
        return out['class_logits'].softmax(-1), out['mask_logits']


class ClassificationProgram(ImageProgram):
    """Probabilities of the classes."""

    outputs = ('probs',)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.model(self.normalise(image), mode='tensor').softmax(-1),)

    def expected(self, batch: dict) -> tuple[Tensor, ...]:
        return (torch.stack([sample.pred_scores for sample in self.model(batch['inputs'], mode='predict')]),)


class SemanticProgram(ImageProgram):
    """Logits of the classes at a fraction of the input's size, as mmsegmentation's heads give them."""

    outputs = ('class_logits',)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (self.model(self.normalise(image), mode='tensor'),)

    def expected(self, batch: dict) -> tuple[Tensor, ...]:
        return (self.model(batch['inputs'], mode='tensor'),)


class DepthProgram(ImageProgram):
    """Depth, as the model's 'tensor' mode gives it."""

    outputs = ('depth',)

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        if hasattr(model.backbone, 'layout'):       # of a panorama's patches, whose grids are tables for one size
            self.dynamic = {}

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return _tensors(self.model(self.normalise(image), mode='tensor'))[:1]

    def expected(self, batch: dict) -> tuple[Tensor, ...]:
        return _tensors(self.model(batch['inputs'], mode='tensor'))[:1]


class PoseProgram(Program):
    """3-D joints of windows of 2-D joints, the mirror image averaged in where the model does so."""

    inputs = ('keypoints',)
    outputs = ('poses',)

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.register_buffer('order', torch.as_tensor(model.skeleton.mirror_order()), persistent=False)
        self.notes.update(
            input=f'float32 (batch, {model.num_frames}, {len(model.skeleton)}, 2): x and y of each joint in pixels, times 2 / '
                  'width, minus (1, height / width)', joints=list(model.skeleton.joints), output='metres, camera axes')

        still = [1.] * len(model.skeleton)
        if model.zero_root and len(model.skeleton.root_joints) == 1:
            still[model.skeleton.root_joints[0]] = 0.
        self.register_buffer('moves', torch.tensor(still).unsqueeze(-1), persistent=False)     # (K, 1), 0 at a fixed root

    def forward(self, keypoints: Tensor) -> tuple[Tensor, ...]:
        poses = self.model.backbone(keypoints)
        if self.model.flip_test:
            poses = (poses + self._mirror(self.model.backbone(self._mirror(keypoints)))) / 2
        return (poses * self.moves,)

    def _mirror(self, x: Tensor) -> Tensor:
        return torch.cat([-x[..., :1], x[..., 1:]], -1).index_select(-2, self.order)

    def arguments(self, batch: dict) -> tuple[Tensor, ...]:
        from mmxf.tasks.pose import window_frames

        return (torch.cat([video[window_frames(len(video), self.model.num_frames)] for video in batch['inputs']]),)

    def expected(self, batch: dict) -> tuple[Tensor, ...]:
        return (self.model._lift(self.arguments(batch)[0]),)


class DiffusionProgram(PoseProgram):
    """Hypotheses of 3-D joints by all steps of a diffusion model's sampler; the noise that they start from is an input."""

    inputs = ('keypoints', 'noise')
    outputs = ('hypotheses',)

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        from mmxf.models.ktpformer.diffusion import sample_times

        draws, hypotheses = model.backbone.sampling_steps, model.backbone.num_hypotheses
        self.notes.update(
            time_steps=list(sample_times(model.backbone.num_steps, draws)[:-1]),
            noise=f'float32 (batch, {draws}, {hypotheses}, {model.num_frames}, {len(model.skeleton)}, 3), standard normal, for '
                  'each step of the sampler and each hypothesis', output='metres, camera axes; each hypothesis by itself')

    def forward(self, keypoints: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        mirrored = self._mirror(keypoints) if self.model.flip_test else None
        poses = self.model.backbone.sample(keypoints, mirrored, self.model.skeleton.mirror_order(), noise)
        return (poses * self.moves,)

    def arguments(self, batch: dict) -> tuple[Tensor, ...]:
        keypoints, = super().arguments(batch)
        return keypoints, self.model.backbone.draw(keypoints)

    def expected(self, batch: dict) -> tuple[Tensor, ...]:
        keypoints, noise = self.arguments(batch)
        backbone, order = self.model.backbone, self.model.skeleton.mirror_order()
        mirrored = mirror(keypoints, order) if self.model.flip_test else None
        # With a seed the model draws by itself, as it does in inference.
        return (backbone.sample(keypoints, mirrored, order, noise if backbone.seed is None else None) * self.moves,)


def _tensors(value: Any) -> tuple[Tensor, ...]:
    if isinstance(value, Tensor):
        return (value,)
    return tuple(value.values() if isinstance(value, dict) else value)


def _detection(model: nn.Module) -> Program:
    from .detection import DetectionProgram

    return DetectionProgram(model)


# Name of a model's class, or of one of its bases -> its program.
PROGRAMS: dict[str, Callable[[nn.Module], Program]] = {
    'PanopticSegmentor': PanopticProgram,
    'ImageClassifier': ClassificationProgram,
    'PoseLifter': lambda model: (DiffusionProgram if getattr(model.backbone, 'is_diffusion', False) else PoseProgram)(model),
    'EncoderDecoder': SemanticProgram,      # mmsegmentation's
    'DepthEstimator': DepthProgram,
    'TwoStageDetector': _detection,         # mmdet's
}


def program_of(model: nn.Module) -> Program:
    """The program of a built model, in eval mode.

    Raises:
        UserError: for a model that cannot be exported; says which can.
    """
    own = getattr(model, 'export_program', None)
    if own is not None:
        return own(model).eval()
    for kind in type(model).__mro__:
        if kind.__name__ in PROGRAMS:
            return PROGRAMS[kind.__name__](model).eval()
    raise UserError(f'{type(model).__name__} cannot be exported: its results have no fixed shape, or nobody has said what its '
                    f'inputs and outputs are. Exportable are {", ".join(PROGRAMS)} and what derives from them')
