"""Training losses of kMaX-DeepLab: PQ-style class and mask terms, pixel discrimination, auxiliary semantics
(kMaX-DeepLab section 3.2; MaX-DeepLab, arXiv:2012.00759; weights and means as in the official code)."""
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmxf.registry import MODELS

from .decoder import DecoderOutput
from .mask_loss import mask_losses
from .matcher import Match, match
from .pixel_discrimination import pixel_discrimination_loss
from .predictor import Prediction
from .sampling import read_resized, sample_pixels


def mean_of_non_zero(loss: Tensor) -> Tensor:
    """Sum over the last dimension divided by the number of entries that are not exactly zero; 0 if all are."""
    return loss.sum(-1) / (loss != 0).sum(-1).clamp(min=1)


def class_loss(logits: Tensor, labels: Tensor, weight: Tensor, alpha: float = 0.75) -> Tensor:
    """Cross-entropy of queries, alpha for real classes and 1 - alpha for void, each query weighted.

    logits (Q, K + 1), labels (Q,) with K = void, weight (Q,).
    """
    balance = torch.where(labels == logits.shape[-1] - 1, 1 - alpha, alpha)
    return mean_of_non_zero(F.cross_entropy(logits, labels, reduction='none') * balance * weight)


@MODELS.register_module()
class KMaXLoss(nn.Module):
    """All terms, already weighted.

    Args:
        class_weight, dice_weight, mask_weight, discrimination_weight, semantic_weight: weights of the five terms; the first
            four hold for each of the decoder's predictions.
        min_weight: least PQ-style weight of a query (the official no-object weight).
        sample_size: pixels drawn for the discrimination term.
        sample_exponent: preference for small segments among them.
        discrimination_temperature: its temperature.
        semantic_sample_size: pixels drawn for the semantic term, 0 = all.
        semantic_sample_exponent: preference for small segments among them.
    """

    def __init__(self, class_weight: float = 3.0, dice_weight: float = 3.0, mask_weight: float = 0.3,
                 discrimination_weight: float = 1.0, semantic_weight: float = 1.0, min_weight: float = 1e-5,
                 sample_size: int = 4096, sample_exponent: float = 1.5, discrimination_temperature: float = 0.3,
                 semantic_sample_size: int = 4096, semantic_sample_exponent: float = 2.0) -> None:
        super().__init__()
        self.class_weight, self.dice_weight, self.mask_weight = class_weight, dice_weight, mask_weight
        self.discrimination_weight, self.semantic_weight = discrimination_weight, semantic_weight
        self.min_weight = min_weight
        self.sample_size, self.sample_exponent = sample_size, sample_exponent
        self.discrimination_temperature = discrimination_temperature
        self.semantic_sample_size, self.semantic_sample_exponent = semantic_sample_size, semantic_sample_exponent

    def forward(self, output: DecoderOutput, labels: Sequence[Tensor], segments: Tensor,
                semantic_features: Tensor | None = None,
                semantic_classifier: Callable[[Tensor], Tensor] | None = None) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            output: the decoder's predictions.
            labels: for each image, classes (N,) of its segments.
            segments: (B, H, W) int64, segment that owns each pixel, -1 = void; H, W = size of the final masks.
            semantic_features: (B, C, h, w) of the auxiliary head.
            semantic_classifier: maps features of chosen pixels (1, C, P) to logits (1, K or K + 1, P).

        Raises:
            ValueError: when an image has no segment, or the targets do not have the size of the final masks.
        """
        final = output.final
        if segments.shape[-2:] != final.mask_logits.shape[-2:]:
            raise ValueError(f'the targets are {tuple(segments.shape[-2:])} but the final masks '
                             f'{tuple(final.mask_logits.shape[-2:])}: is the mask stride of the last transform right?')
        with torch.autocast(segments.device.type, enabled=False):
            matches = [self._match(final, labels, segments, b) for b in range(len(labels))]
            losses = self._terms(final, matches, segments)
            if semantic_features is not None and self.semantic_weight > 0:
                losses['loss_semantic'] = self.semantic_weight * torch.stack([
                    self._semantic(features.float(), semantic_classifier, m, segments[b], labels[b])
                    for b, (features, m) in enumerate(zip(semantic_features.split(1), matches))]).mean()
            for i, prediction in enumerate(output.auxiliary):
                terms = self._terms(prediction, matches, segments)
                losses.update({f'd{i}.{name}': value for name, value in terms.items()})
        return losses

    def _match(self, final: Prediction, labels: Sequence[Tensor], segments: Tensor, b: int) -> Match:
        if labels[b].numel() == 0:
            raise ValueError(f'image {b} of the batch has no segment to learn from: filter such images or draw others')
        return match(final.mask_logits[b].float(), final.class_logits[b].float(), labels[b], segments[b], self.min_weight)

    def _terms(self, prediction: Prediction, matches: Sequence[Match], segments: Tensor) -> dict[str, Tensor]:
        """The four terms of one prediction, each a mean over images."""
        size, terms = segments.shape[-2:], []
        # Maps are split, not indexed: that keeps their gradients in their own order in memory.
        for class_logits, mask_logits, features, m in zip(prediction.class_logits, prediction.mask_logits.split(1),
                                                          prediction.pixel_features.split(1), matches):
            mask, dice = mask_losses(mask_logits.float(), m.pixel_query, m.query_area, m.mask_weight, size)
            terms.append(torch.stack([
                self.class_weight * class_loss(class_logits.float(), m.query_label, m.class_weight),
                self.mask_weight * mask, self.dice_weight * dice,
                self.discrimination_weight * self._discrimination(features.float(), m, size)]))
        names = ('loss_class', 'loss_mask', 'loss_dice', 'loss_discrimination')
        return dict(zip(names, torch.stack(terms).mean(0)))

    @staticmethod
    def _pixel_area(m: Match) -> Tensor:
        """(P,) float32: area of the segment that owns each pixel, 0 = void."""
        return m.query_area[m.pixel_query.clamp(min=0)] * (m.pixel_query >= 0)

    def _discrimination(self, features: Tensor, m: Match, size: tuple[int, int]) -> Tensor:
        index = sample_pixels(self._pixel_area(m), self.sample_size, self.sample_exponent)
        sampled = read_resized(features, index, size, size[0] % 2 == 1)                       # (K, C)
        return pixel_discrimination_loss(sampled, m.pixel_query[index], self.discrimination_temperature)

    def _semantic(self, features: Tensor, classifier: Callable[[Tensor], Tensor], m: Match, segments: Tensor,
                  labels: Tensor) -> Tensor:
        """features (1, C, h, w); a coarser map than the targets reads them at its stride."""
        (h, w), (H, W) = features.shape[-2:], segments.shape
        stride = 1 if (h, w) == (H, W) else (W - 1) // (w - 1)
        area = self._pixel_area(m).view(H, W)[::stride, ::stride].flatten()
        truth = torch.where(segments < 0, -1, labels[segments.clamp(min=0)])[::stride, ::stride].flatten()
        features = features.permute(0, 2, 3, 1).flatten(1, 2)                                 # (1, hw, C)
        if self.semantic_sample_size > 0:
            index = sample_pixels(area, self.semantic_sample_size, self.semantic_sample_exponent)
            features, truth = features.index_select(1, index), truth[index]
        loss = F.cross_entropy(classifier(features.transpose(1, 2))[0].t(), truth, ignore_index=-1, reduction='none')
        return mean_of_non_zero(loss)
