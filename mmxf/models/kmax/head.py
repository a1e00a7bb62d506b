"""The head: pixel decoder, cluster decoder, losses and post-processing under one name."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmxf.layers.recompute import choose_recompute
from mmxf.registry import MODELS

from .inference import collect_claims, instances, panoptic_map
from .predictor import Prediction


@MODELS.register_module()
class KMaXHead(nn.Module):
    """kMaX-DeepLab after the backbone.

    Args:
        num_classes: real classes K.
        thing_labels: class indices that are things.
        in_channels: channels of the backbone's outputs.
        pixel_decoder: config of the pixel decoder.
        decoder: config of the cluster decoder.
        loss: config of the losses.
        auxiliary: config of the auxiliary semantic head; None for none.
        pixel_threshold: a query claims a pixel above this probability.
        thing_threshold, stuff_threshold: least class score of a segment.
        overlap_threshold: part of a segment's pixels that must still be free.
        class_exponent, mask_exponent: order in which segments take their pixels.
        max_per_image: (query, class) pairs that become instances.
        recompute: in training, make what takes much memory and little time again in the backward pass; False keeps it.
    """

    def __init__(self, num_classes: int, thing_labels: Sequence[int], in_channels: Sequence[int], pixel_decoder: dict,
                 decoder: dict, loss: dict, auxiliary: dict | None = None, *, pixel_threshold: float = 0.4,
                 thing_threshold: float = 0.7, stuff_threshold: float = 0.5, overlap_threshold: float = 0.8,
                 class_exponent: float = 1.0, mask_exponent: float = 1.0, max_per_image: int = 100,
                 recompute: bool = True) -> None:
        super().__init__()
        self.num_classes, self.thing_labels = num_classes, tuple(thing_labels)
        self.pixel_decoder = MODELS.build(dict(in_channels=in_channels, **pixel_decoder))
        self.decoder = MODELS.build(dict(num_classes=num_classes, **decoder))
        self.auxiliary = None
        if auxiliary is not None:
            self.auxiliary = MODELS.build(dict(in_channels=in_channels, num_classes=num_classes, **auxiliary))
        self.criterion = MODELS.build(loss)
        choose_recompute(self, recompute)
        self.pixel_threshold, self.max_per_image = pixel_threshold, max_per_image
        self.panoptic_rule = dict(thing_threshold=thing_threshold, stuff_threshold=stuff_threshold,
                                  overlap_threshold=overlap_threshold, class_exponent=class_exponent,
                                  mask_exponent=mask_exponent)

    @staticmethod
    def checkpoint_num_classes(state_dict: dict[str, Tensor]) -> int | None:
        """Real classes of a head's state dict, None if it does not tell."""
        weight = state_dict.get('decoder.predictor.class_head.conv.weight')
        return None if weight is None else len(weight) - 1

    def forward(self, features: Sequence[Tensor]) -> Prediction:
        """Backbone levels -> the final prediction."""
        return self.decoder(*self.pixel_decoder(features)).final

    def loss(self, features: Sequence[Tensor], labels: Sequence[Tensor], segments: Tensor) -> dict[str, Tensor]:
        """Backbone levels and targets -> weighted losses. labels: (N,) per image; segments: (B, h, w) int64, -1 = void."""
        output = self.decoder(*self.pixel_decoder(features))
        if self.auxiliary is None:
            return self.criterion(output, labels, segments)
        return self.criterion(output, labels, segments, self.auxiliary(features), self.auxiliary.classify)

    @torch.no_grad()
    def predict(self, prediction: Prediction, index: int, padded: Sequence[int], real: Sequence[int],
                target: Sequence[int], outputs: Sequence[str] = ('panoptic',)) -> dict:
        """Results of one image of the batch at its original size.

        Args:
            prediction: of the batch.
            index: which image.
            padded, real, target: (H, W) of the padded input, of the image within it, of the original image.
            outputs: any of 'panoptic', 'instance', 'semantic'.

        Returns:
            With 'panoptic': panoptic (H, W) int64 ids and segments_info; with 'instance': masks, labels, scores, bboxes;
            with 'semantic': semantic (H, W) int64 labels.
        """
        class_probs = prediction.class_logits[index].float().softmax(-1)[:, :-1]                # (Q, K)
        claims = collect_claims(prediction.mask_logits[index].float(), self.pixel_threshold, padded, real, target,
                                class_probs if 'semantic' in outputs else None)
        results = {}
        if 'panoptic' in outputs:
            ids, infos = panoptic_map(claims, class_probs, self.thing_labels, **self.panoptic_rule)
            results.update(panoptic=ids.view(*target), segments_info=infos)
        if 'instance' in outputs:
            results.update(instances=instances(claims, class_probs, self.thing_labels, target, self.max_per_image))
        if 'semantic' in outputs:
            results.update(semantic=claims.semantic.view(*target))
        return results
