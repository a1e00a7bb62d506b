"""Layer norm over the channels of a (B, C, H, W) map (ConvNeXt, arXiv:2201.03545), in float32 under autocast."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmxf.registry import MODELS


class LayerNorm2d(nn.LayerNorm):
    """`nn.LayerNorm` over dimension 1 of (B, C, H, W); free of copies when the map is channels-last in memory."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = F.layer_norm(x.float().permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


# For mmcv's norm_cfg: dict(type='mmxf.LN2d').
MODELS.register_module('LN2d', module=LayerNorm2d)
