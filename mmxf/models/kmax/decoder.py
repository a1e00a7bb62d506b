"""k-means cross-attention decoder (kMaX-DeepLab section 3.1, equations 5-7)."""
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmxf.layers.conv_norm import NORM_EPS, NORM_MOMENTUM, ConvNorm, trunc_normal_
from mmxf.layers.folding import can_fold, folded_weights
from mmxf.registry import MODELS

from .predictor import KMaXPredictor, Prediction


def sum_by_cluster(values: Tensor, assignment: Tensor, num_clusters: int) -> Tensor:
    """Segmented sum of pixels: values (B, N, D), assignment (B, N) int64 in [0, Q) -> (B, Q, D), in values' type.

    This is the k-means update. Written as a product with one-hot assignments it would cost Q times as much.
    """
    B, _, D = values.shape
    rows = assignment + torch.arange(B, device=values.device)[:, None] * num_clusters
    sums = values.new_zeros(B * num_clusters, D)
    return sums.index_add_(0, rows.flatten(), values.reshape(-1, D)).view(B, num_clusters, D)


class QuerySelfAttention(nn.Module):
    """Attention among queries with batch norms on similarities and outputs in place of a scale (Axial-DeepLab's form)."""

    def __init__(self, value_depth: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.similarity_norm = nn.BatchNorm2d(num_heads, eps=NORM_EPS, momentum=NORM_MOMENTUM)
        self.output_norm = nn.BatchNorm1d(value_depth, eps=NORM_EPS, momentum=NORM_MOMENTUM)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q, k (B, dk, Q), v (B, dv, Q) -> (B, dv, Q)."""
        q, k, v = (t.unflatten(1, (self.num_heads, -1)) for t in (q, k, v))             # (B, nh, d, Q)
        similarity = self.similarity_norm(torch.matmul(q.transpose(2, 3), k))           # (B, nh, Q, Q)
        weights = similarity.float().softmax(-1)
        out = torch.matmul(v, weights.to(v).transpose(2, 3))                            # (B, nh, d, Q)
        return F.gelu(self.output_norm(out.flatten(1, 2)))


class KMaXLayer(nn.Module):
    """One round: assign pixels to centres, move the centres, let the centres attend to each other, feed-forward.

    Args:
        pixel_channels: channels of the pixel map of this stride.
        num_classes: real classes K, for the layer's own prediction.
        query_channels: channels of the cluster centres.
        width: width of the layer's inner spaces; values have it, keys half of it.
        num_heads: heads of the self-attention.
        ffn_channels: hidden width of the feed-forward part.
        drop_path: probability of dropping each of the three residual branches.
        void_prior, mask_scale: of the layer's own prediction.
    """

    def __init__(self, pixel_channels: int, num_classes: int, *, query_channels: int = 256, width: int = 256,
                 num_heads: int = 8, ffn_channels: int = 2048, drop_path: float = 0.0, void_prior: float = 0.9,
                 mask_scale: float = 0.1) -> None:
        super().__init__()
        key_depth, value_depth = width // 2, width
        self.splits = [key_depth, key_depth, value_depth]
        std = width ** -0.5
        self.query_conv = ConvNorm(query_channels, width, dims=1, gelu=True)
        self.pixel_conv = ConvNorm(pixel_channels, width, gelu=True)
        self.pixel_value = ConvNorm(width, value_depth, init_std=std)
        self.predictor = KMaXPredictor(width, width, num_classes, void_prior=void_prior, mask_scale=mask_scale)
        self.update_norm = nn.BatchNorm1d(value_depth, eps=NORM_EPS, momentum=NORM_MOMENTUM)
        self.update_conv = ConvNorm(value_depth, query_channels, dims=1, norm_init=0.0)
        self.query_qkv = ConvNorm(width, sum(self.splits), dims=1, init_std=std)
        self.attention = QuerySelfAttention(value_depth, num_heads)
        self.attention_conv = ConvNorm(value_depth, query_channels, dims=1, norm_init=0.0)
        self.ffn = nn.Sequential(ConvNorm(query_channels, ffn_channels, dims=1, gelu=True),
                                 ConvNorm(ffn_channels, query_channels, dims=1, norm_init=0.0))
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, pixels: Tensor, queries: Tensor) -> tuple[Tensor, Prediction | None]:
        """Activated pixels (B, C, H, W) and queries (B, D, Q) to new queries and, unless in inference, a prediction."""
        pixel_space = self.pixel_conv(pixels)                                    # (B, width, H, W)
        query_space = self.query_conv(queries)                                   # (B, width, Q)
        update, prediction = self._kmeans(pixel_space, query_space)              # (B, dv, Q)
        update = self.update_conv(self.update_norm(update))
        queries = queries + self.drop_path(update)
        # The keys come from the queries as they were before the centres moved (official code).
        q, k, v = self.query_qkv(query_space).split(self.splits, dim=1)
        update = self.attention_conv(self.attention(q, k, v))
        queries = F.gelu(queries + self.drop_path(update))
        queries = F.gelu(queries + self.drop_path(self.ffn(queries)))
        return queries, prediction

    def _kmeans(self, pixels: Tensor, queries: Tensor) -> tuple[Tensor, Prediction | None]:
        """Hard assignment of pixels to queries, then the sum of each cluster's values (B, dv, Q), in float32."""
        num_queries = queries.shape[2]
        if can_fold(self.pixel_value.norm):
            return self._kmeans_inference(pixels, queries), None
        values = self.pixel_value(pixels)                                        # (B, dv, H, W)
        prediction = self.predictor(pixels, queries, queries)
        assignment = prediction.mask_logits.detach().flatten(2).argmax(1)        # (B, HW)
        sums = sum_by_cluster(values.flatten(2).transpose(1, 2).float(), assignment, num_queries)
        return sums.transpose(1, 2), prediction

    def _kmeans_inference(self, pixels: Tensor, queries: Tensor) -> Tensor:
        """The same with fixed norms: values are linear in the pixels, so clusters are summed first and mapped after."""
        num_queries = queries.shape[2]
        assignment = self.predictor.assign(pixels, queries)
        rows = pixels.flatten(2).transpose(1, 2).float()                         # (B, HW, width)
        sums = sum_by_cluster(rows, assignment, num_queries)                     # (B, Q, width)
        counts = sum_by_cluster(torch.ones_like(rows[..., :1]), assignment, num_queries)
        weight, bias = folded_weights(self.pixel_value.conv, self.pixel_value.norm)
        return torch.matmul(weight.flatten(1).float(), sums.transpose(1, 2)) + bias[:, None] * counts.transpose(1, 2)


class DecoderOutput(NamedTuple):
    """Predictions of the decoder; `auxiliary` is empty in inference."""
    final: Prediction
    auxiliary: list[Prediction]


@MODELS.register_module()
class KMaXDecoder(nn.Module):
    """Cluster centres refined over pixel maps of three strides.

    Args:
        num_classes: real classes K.
        num_queries: cluster centres Q.
        pixel_channels: channels of the maps at strides 32, 16, 8.
        final_channels: channels of the map from which the final masks come.
        num_layers: layers on each of the three maps.
        query_channels, ffn_channels, num_heads: widths of the layers.
        drop_path: probability of dropping a residual branch.
        void_prior: probability of void that every query starts with.
        mask_scale: first scale of the mask logits; see `KMaXPredictor`.
    """

    def __init__(self, num_classes: int, num_queries: int = 128, *, pixel_channels: Sequence[int] = (2048, 1024, 512),
                 final_channels: int = 256, num_layers: Sequence[int] = (2, 2, 2), query_channels: int = 256,
                 ffn_channels: int = 2048, num_heads: int = 8, drop_path: float = 0.0, void_prior: float = 0.9,
                 mask_scale: float = 0.1) -> None:
        super().__init__()
        self.num_queries, self.num_layers = num_queries, tuple(num_layers)
        self.layers = nn.ModuleList(
            KMaXLayer(channels, num_classes, query_channels=query_channels, width=query_channels, num_heads=num_heads,
                      ffn_channels=ffn_channels, drop_path=drop_path, void_prior=void_prior, mask_scale=mask_scale)
            for channels, count in zip(pixel_channels, num_layers) for _ in range(count))
        self.cluster_centers = nn.Parameter(nn.Embedding(query_channels, num_queries).weight.data)
        trunc_normal_(self.cluster_centers.data, std=1.0)
        self.class_projection = ConvNorm(query_channels, query_channels, dims=1, gelu=True)
        self.mask_projection = ConvNorm(query_channels, query_channels, dims=1, gelu=True)
        self.predictor = KMaXPredictor(final_channels, query_channels, num_classes, void_prior=void_prior,
                                       mask_scale=mask_scale)

    def forward(self, pixels: Sequence[Tensor], final_pixels: Tensor) -> DecoderOutput:
        """Activated maps at strides 32, 16, 8 and the raw map at stride 4, each (B, C, H, W)."""
        queries = self.cluster_centers.expand(final_pixels.shape[0], -1, -1)     # (B, D, Q)
        layers, auxiliary = iter(self.layers), []
        for stride_pixels, count in zip(pixels, self.num_layers):
            for _ in range(count):
                queries, prediction = next(layers)(stride_pixels, queries)
                auxiliary += [] if prediction is None else [prediction]
        final = self.predictor(final_pixels, self.mask_projection(queries), self.class_projection(queries))
        return DecoderOutput(final, auxiliary)
