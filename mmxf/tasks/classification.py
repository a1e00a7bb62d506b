"""Image classification: one wrapper around a backbone that gives features and a linear head.

Sample contract. A data sample is a `ClassificationSample`. In training it holds `gt_label`; the data preprocessor may add soft
targets for the batch. Results are `pred_scores` (K,), probabilities, and `pred_label`.
"""
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel, BaseModule
from torch import Tensor, nn

from mmxf.registry import MODELS
from mmxf.structures.classification import ClassificationSample


@MODELS.register_module()
class LinearHead(BaseModule):
    """Dropout and a linear layer.

    Args:
        in_channels: of the features. num_classes: K. dropout: of the features. init_cfg: mmengine's.
    """

    def __init__(self, in_channels: int, num_classes: int, *, dropout: float = 0.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(in_channels, num_classes)
        nn.init.trunc_normal_(self.fc.weight, std=0.02)
        nn.init.zeros_(self.fc.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C) -> logits (B, K)."""
        return self.fc(self.dropout(features))


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """Backbone and head as a model of mmengine.

    Args:
        backbone: config; gives features (B, C).
        head: config; features to logits (B, K).
        data_preprocessor: config of `ClassificationPreprocessor`.
        init_cfg: mmengine's.
    """

    def __init__(self, backbone: dict, head: dict, data_preprocessor: dict | None = None, *,
                 init_cfg: dict | None = None) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='ClassificationPreprocessor')), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.head = MODELS.build(head)

    @property
    def num_classes(self) -> int:
        return self.head.num_classes

    def checkpoint_num_classes(self, state_dict: dict[str, Tensor]) -> int | None:
        """Classes of a checkpoint of this model, None if it does not tell."""
        weight = state_dict.get('head.fc.weight')
        return None if weight is None else len(weight)

    def forward(self, inputs: Tensor, data_samples: list[ClassificationSample] | None = None, mode: str = 'tensor',
                targets: Tensor | None = None):
        """Runs the model on normalised images (B, 3, H, W).

        Args:
            inputs: as the data preprocessor gives them.
            data_samples: with `gt_label` for 'loss' without `targets`; 'predict' fills them.
            mode: 'tensor' for logits (B, K); 'loss' for a dict of losses; 'predict' for data samples.
            targets: (B, K) probabilities.

        Raises:
            ValueError: for an unknown mode, an input that is no batch of images, or a label that the head does not have.
        """
        if inputs.dim() != 4 or inputs.shape[1] != 3:
            raise ValueError(f'inputs must be (B, 3, H, W), got {tuple(inputs.shape)}')
        logits = self.head(self.backbone(inputs))
        if mode == 'tensor':
            return logits
        if mode == 'loss':
            if targets is None:
                targets = torch.stack([sample.gt_label for sample in data_samples]).to(logits.device)
                if int(targets.max()) >= logits.shape[1]:
                    raise ValueError(f'label {int(targets.max())} of a model with {logits.shape[1]} classes: '
                                     "write num_classes='${num_classes}' in the config's head")
            return dict(loss=F.cross_entropy(logits.float(), targets))
        if mode == 'predict':
            scores = logits.float().softmax(1)
            samples = data_samples or [ClassificationSample() for _ in scores]
            for sample, score in zip(samples, scores):
                sample.pred_scores, sample.pred_label = score, score.argmax()
            return samples
        raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")
