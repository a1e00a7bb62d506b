"""What a set of cluster centres says about a map of pixels: class logits, mask logits, pixel embeddings
(kMaX-DeepLab section 3.2; MaX-DeepLab, arXiv:2012.00759, for the void prior)."""
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmxf.layers.conv_norm import NORM_EPS, NORM_MOMENTUM, ConvNorm
from mmxf.layers.folding import can_fold, folded_weights, norm_affine
from mmxf.layers.recompute import recompute
from mmxf.layers.strips import strips


class Prediction(NamedTuple):
    """One prediction of the decoder."""
    class_logits: Tensor      # (B, Q, K + 1), the last is void
    mask_logits: Tensor       # (B, Q, h, w)
    pixel_features: Tensor    # (B, C, h, w), unit length over C


class KMaXPredictor(nn.Module):
    """Class and mask heads over cluster centres and pixels.

    Args:
        pixel_channels: channels of the pixel map.
        query_channels: channels of the cluster centres.
        num_classes: real classes K.
        embed_channels: width of the space in which centres and pixels are compared.
        void_prior: probability of void that every query starts with.
        mask_scale: first scale of the normalised mask logits. The official 0.1 suits long schedules: the optimiser moves this
            one number by about its learning rate a step, so a short schedule has to start higher.
    """

    def __init__(self, pixel_channels: int, query_channels: int, num_classes: int, embed_channels: int = 128, *,
                 void_prior: float = 0.9, mask_scale: float = 0.1) -> None:
        super().__init__()
        self.pixel_head = nn.Sequential(
            ConvNorm(pixel_channels, pixel_channels, 5, groups=pixel_channels, gelu=True, xavier=True),
            ConvNorm(pixel_channels, 256, gelu=True))
        self.pixel_embed = ConvNorm(256, embed_channels, bias=True, init_std=0.01)
        self.mask_embed = ConvNorm(query_channels, embed_channels, dims=1)
        self.class_head = ConvNorm(query_channels, num_classes + 1, dims=1, bias=True, norm=False, init_std=0.01)
        self.mask_norm = nn.BatchNorm2d(1, eps=NORM_EPS, momentum=NORM_MOMENTUM)
        nn.init.constant_(self.mask_norm.weight, mask_scale)
        self.void_bias = math.log(num_classes * void_prior / (1 - void_prior))

    def forward(self, pixels: Tensor, mask_queries: Tensor, class_queries: Tensor) -> Prediction:
        """pixels (B, C, h, w); queries (B, D, Q), activated."""
        kernels = self.mask_embed(mask_queries)                                                 # (B, C, Q)
        if pixels.device.type == 'cpu' and can_fold(self.mask_norm):
            return Prediction(self.classify(class_queries), *self._in_strips(pixels, kernels))
        features = recompute(self, self._embed, pixels)                                         # (B, C, h, w)
        B, _, h, w = features.shape
        # Pixels before queries in memory: what follows (softmax, arg max) runs over queries.
        logits = torch.matmul(features.flatten(2).transpose(1, 2), kernels.to(features))        # (B, hw, Q)
        logits = self._normalise(logits.float()).transpose(1, 2).unflatten(2, (h, w))           # (B, Q, h, w)
        return Prediction(self.classify(class_queries), logits, features)

    def _in_strips(self, pixels: Tensor, kernels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) and kernels (B, D, Q) to mask logits (B, Q, h, w) and features (B, D, h, w), strip by strip of rows."""
        (B, _, h, w), (_, D, Q) = pixels.shape, kernels.shape
        scale, shift = norm_affine(self.mask_norm)
        kernels = (kernels * scale).float()
        features = kernels.new_empty(B, h, w, D)
        logits = kernels.new_empty(B, h * w, Q)
        depthwise, pointwise = self.pixel_head
        for rows, source, inner in strips(pixels, reach=depthwise.conv.padding[0]):
            strip = depthwise(pixels[:, :, source])[:, :, inner]
            strip = self.pixel_embed(pointwise(strip)).float().permute(0, 2, 3, 1)              # (B, rows, w, C)
            length = torch.linalg.vector_norm(strip, dim=3, keepdim=True).clamp_min_(1e-12)
            strip = torch.div(strip, length, out=features[:, rows])
            torch.baddbmm(shift.float(), strip.flatten(1, 2), kernels, out=logits[:, rows.start * w:rows.stop * w])
        return logits.transpose(1, 2).unflatten(2, (h, w)), features.permute(0, 3, 1, 2)

    def _embed(self, pixels: Tensor) -> Tensor:
        """(B, C, h, w) -> unit vectors (B, embed_channels, h, w) float32."""
        return F.normalize(self.pixel_embed(self.pixel_head(pixels)).float(), dim=1)

    def classify(self, queries: Tensor) -> Tensor:
        """(B, D, Q) -> class logits (B, Q, K + 1), biased towards void."""
        logits = self.class_head(queries).transpose(1, 2)
        return torch.cat([logits[..., :-1], logits[..., -1:] + self.void_bias], dim=-1)

    def assign(self, pixels: Tensor, queries: Tensor) -> Tensor:
        """The query that each pixel belongs to: (B, hw) int64, without making the mask logits' last factors.

        Needs fixed norms (evaluation). The length of a pixel's embedding and the shift of the mask norm do not change which
        query is largest, and the last convolution goes into the kernels, so a pixel costs one product.
        """
        pixels = self.pixel_head(pixels).flatten(2).transpose(1, 2)                             # (B, hw, 256)
        kernels = self.mask_embed(queries)                                                      # (B, C, Q)
        kernels = kernels * norm_affine(self.mask_norm)[0].sign()
        weight, bias = folded_weights(self.pixel_embed.conv, self.pixel_embed.norm)             # (C, 256, 1, 1), (C,)
        offset = torch.matmul(bias.to(kernels), kernels).unsqueeze(1)                           # (B, 1, Q)
        kernels = torch.matmul(weight.flatten(1).t().to(kernels), kernels)                      # (B, 256, Q)
        return torch.baddbmm(offset.to(pixels), pixels, kernels.to(pixels)).argmax(-1)

    def _normalise(self, logits: Tensor) -> Tensor:
        """One mean and variance for all mask logits (B, hw, Q)."""
        if can_fold(self.mask_norm):
            scale, shift = norm_affine(self.mask_norm)
            return logits.mul_(scale).add_(shift)
        return self.mask_norm(logits.unsqueeze(1)).squeeze(1)
