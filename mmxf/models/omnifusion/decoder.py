"""From features of an encoder to depth and confidence: a U-Net's way up."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmxf.layers.folding import conv_norm
from mmxf.registry import MODELS


class ConvReLU(nn.Module):
    """3x3 convolution, batch norm, ReLU; folded in inference."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return conv_norm(self.conv, self.bn, x, 'relu')


@MODELS.register_module()
class DepthDecoder(BaseModule):
    """Enlarge, convolve, join with the encoder's next finer level, convolve; five times, the last without a level to join.

    Args:
        in_channels: of the encoder's levels from fine to coarse: stem and four stages.
        channels: (before, after joining) of each step, from coarse to fine; the last step has one number.
        init_cfg: mmengine's.
    """

    def __init__(self, in_channels: Sequence[int] = (64, 64, 128, 256, 512),
                 channels: Sequence[Sequence[int]] = ((256, 128), (128, 64), (64, 64), (64, 32), (32,)), *,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        skips = list(in_channels[-2::-1])
        if len(channels) != len(skips) + 1:
            raise ValueError(f'{len(in_channels)} levels need {len(skips) + 1} steps, got {len(channels)}')
        self.before, self.after = nn.ModuleList(), nn.ModuleList()
        width = in_channels[-1]
        for step, skip in zip(channels, skips):
            self.before.append(ConvReLU(width, step[0]))
            self.after.append(ConvReLU(step[0] + skip, step[1]))
            width = step[1]
        self.before.append(ConvReLU(width, channels[-1][0]))
        self.depth = nn.Conv2d(channels[-1][0], 1, 3, padding=1)
        self.confidence = nn.Conv2d(channels[-1][0], 1, 3, padding=1)

    def forward(self, levels: Sequence[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Levels from fine to coarse, the image's size -> depth, not negative, and logits of confidence.

        Both are (B, 1, H, W), float32 in mixed precision, too.
        """
        x = levels[-1]
        for before, after, skip in zip(self.before, self.after, levels[-2::-1]):
            x = before(_enlarge(x, skip.shape[2:]))
            x = after(torch.cat([x, skip], 1))
        x = self.before[-1](_enlarge(x, size))
        weight, bias = (torch.cat([getattr(head, name) for head in (self.depth, self.confidence)]) for name in ('weight', 'bias'))
        # In bfloat16 depth would come in steps of 0.4 percent, centimetres across a room.
        with torch.autocast(x.device.type, enabled=False):
            x = x if x.dtype == torch.float64 else x.float()
            depth, confidence = F.conv2d(x, weight.to(x.dtype), bias.to(x.dtype), padding=1).chunk(2, 1)
        return F.relu(depth), confidence


def _enlarge(x: Tensor, size) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=False)
