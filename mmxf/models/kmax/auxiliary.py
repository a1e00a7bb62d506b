"""Auxiliary semantic heads, used in training only (Panoptic-DeepLab's decoder, arXiv:1911.10194)."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmxf.layers.conv_norm import ConvNorm
from mmxf.layers.recompute import recompute
from mmxf.registry import MODELS

from .pixel_decoder import resize


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (arXiv:1706.05587): 1x1, three dilated 3x3, image pooling."""

    def __init__(self, in_channels: int, channels: int, rates: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.convs = nn.ModuleList([ConvNorm(in_channels, channels, gelu=True)])
        self.convs.extend(ConvNorm(in_channels, channels, 3, dilation=rate, gelu=True) for rate in rates)
        self.pool = ConvNorm(in_channels, channels, gelu=True)
        self.project = ConvNorm(channels * (len(rates) + 2), channels, gelu=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self._pool(x.mean((2, 3), keepdim=True))
        return self.dropout(self.project(torch.cat([conv(x) for conv in self.convs] + [pooled.expand(
            -1, -1, *x.shape[-2:])], dim=1)))

    def _pool(self, mean: Tensor) -> Tensor:
        """One image alone has no batch statistics: with a single value per channel the running ones are used."""
        norm = self.pool.norm
        if not (norm.training and mean.shape[0] == 1 and isinstance(norm, nn.BatchNorm2d)):
            return self.pool(mean)
        norm.training = False
        try:
            return self.pool(mean)
        finally:
            norm.training = True


class _SampledClassifier(nn.Module):
    """A last linear layer that a loss can apply at the pixels it samples, instead of at all pixels."""

    training_only = True    # `mmxf get_flops` counts such a part apart

    def classify(self, features: Tensor) -> Tensor:
        """Features of chosen pixels (B, C, N) -> logits (B, outputs, N)."""
        conv = self.classifier.conv
        return nn.functional.conv1d(features, conv.weight.squeeze(-1), conv.bias)


@MODELS.register_module()
class KMaXSemanticDecoder(_SampledClassifier):
    """ASPP at stride 32, fused with strides 8 and 4 (COCO and ADE20K). It has an output for void, as the official head.

    Args:
        in_channels: channels of the backbone's levels.
        num_classes: real classes K.
        in_index: levels of strides 32, 8, 4.
        channels: width of the decoder.
        skip_channels: width to which strides 8 and 4 are brought.
        rates: dilations of the ASPP.
        dropout: of the ASPP's output.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, in_index: Sequence[int] = (3, 1, 0),
                 channels: int = 256, skip_channels: Sequence[int] = (64, 32), rates: Sequence[int] = (6, 12, 18),
                 dropout: float = 0.1) -> None:
        super().__init__()
        self.in_index = tuple(in_index)
        deep, *skips = (in_channels[i] for i in in_index)
        self.aspp = ASPP(deep, channels, rates, dropout)
        self.skips = nn.ModuleList(ConvNorm(width, skip, gelu=True) for width, skip in zip(skips, skip_channels))
        self.fusions = nn.ModuleList(self._separable(channels + skip, channels) for skip in skip_channels)
        self.head = self._separable(channels, channels)
        self.classifier = ConvNorm(channels, num_classes + 1, bias=True, norm=False, init_std=0.01)

    @staticmethod
    def _separable(in_channels: int, out_channels: int) -> nn.Sequential:
        return nn.Sequential(ConvNorm(in_channels, in_channels, 5, groups=in_channels, gelu=True, xavier=True),
                             ConvNorm(in_channels, out_channels, gelu=True))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Backbone levels -> features before the classifier, (B, channels, h, w) at stride 4."""
        deep, *skips = (features[i] for i in self.in_index)
        x = self.aspp(deep)
        align_corners = x.shape[-1] % 2 == 1    # the stride-32 map decides for both resizes

        def fuse(x: Tensor, skip: Tensor, level: int) -> Tensor:
            x = resize(x, skip.shape[-2:], align_corners)
            return self.fusions[level](torch.cat([x, self.skips[level](skip)], dim=1))

        for level, skip in enumerate(skips):
            x = recompute(self, fuse, x, skip, level)
        return recompute(self, self.head, x)


@MODELS.register_module()
class KMaXSemanticHead(_SampledClassifier):
    """Depthwise 5x5, 1x1, classifier at stride 32 (Cityscapes). K outputs.

    Args:
        in_channels: channels of the backbone's levels.
        num_classes: real classes K.
        in_index: level of stride 32.
        channels: width before the classifier.
    """

    def __init__(self, in_channels: Sequence[int], num_classes: int, *, in_index: int = 4, channels: int = 256) -> None:
        super().__init__()
        self.in_index = in_index
        width = in_channels[in_index]
        self.head = nn.Sequential(ConvNorm(width, width, 5, groups=width, gelu=True, xavier=True),
                                  ConvNorm(width, channels, gelu=True))
        self.classifier = ConvNorm(channels, num_classes, bias=True, norm=False, init_std=0.01)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Backbone levels -> features before the classifier, (B, channels, h, w) at stride 32."""
        return self.head(features[self.in_index])
