"""Backbones as kMaX-DeepLab uses them: mmdet's ResNet with the pooled stem as a level, ConvNeXt with DeepLab2's padding."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmdet.models.backbones import ResNet
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmxf.layers.conv_norm import trunc_normal_
from mmxf.layers.folding import conv_norm
from mmxf.layers.layer_norm import LayerNorm2d
from mmxf.layers.resnet_blocks import folded_archs
from mmxf.registry import MODELS


@MODELS.register_module()
class KMaXResNet(ResNet):
    """mmdet's ResNet; with `out_stem` the pooled stem (stride 4) comes before the stages' outputs, as Cityscapes models want.

    Args:
        depth: 18, 34, 50, 101 or 152.
        out_stem: whether the stem is an output.
        kwargs: of `mmdet.ResNet`.
    """
    arch_settings = folded_archs(ResNet)

    def __init__(self, depth: int, *, out_stem: bool = False, **kwargs) -> None:
        super().__init__(depth, **kwargs)
        self.out_stem = out_stem

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> levels from fine to coarse."""
        x = self.stem(x) if self.deep_stem else conv_norm(self.conv1, self.norm1, x, 'relu')
        x = self.maxpool(x)
        levels = [x] if self.out_stem else []
        for i, name in enumerate(self.res_layers):
            for j, block in enumerate(getattr(self, name)):
                x = block(x, into=j > 0)
            if i in self.out_indices:
                levels.append(x)
        return tuple(levels)


class _ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, layer norm, two linear layers, a learned scale per channel."""

    def __init__(self, channels: int, drop_path: float, layer_scale: float) -> None:
        super().__init__()
        self.depthwise_conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.pointwise_conv1 = nn.Linear(channels, 4 * channels)
        self.pointwise_conv2 = nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.full((channels,), layer_scale))
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out = self.depthwise_conv(x).permute(0, 2, 3, 1)                            # (B, H, W, C)
        with torch.autocast(x.device.type, enabled=False):
            out = self.norm(out.float())
        out = self.pointwise_conv2(F.gelu(self.pointwise_conv1(out))) * self.gamma
        return x + self.drop_path(out.permute(0, 3, 1, 2))


@MODELS.register_module()
class KMaXConvNeXt(BaseModule):
    """ConvNeXt (arXiv:2201.03545), with zeros put before the stem and the downsamplings so that odd sizes keep their corners.

    Args:
        arch: 'tiny', 'small', 'base' or 'large'.
        drop_path_rate: of the last block; it grows linearly from 0 at the first.
        layer_scale: first value of the layer scales.
        out_stem: whether the stem's output (stride 4) is a level, before the stages'.
        in_channels: channels of the image.
        init_cfg: mmengine's, for instance dict(type='Pretrained', checkpoint=...).

    Raises:
        ValueError: for an unknown arch.
    """
    ARCHS = dict(tiny=((3, 3, 9, 3), (96, 192, 384, 768)), small=((3, 3, 27, 3), (96, 192, 384, 768)),
                 base=((3, 3, 27, 3), (128, 256, 512, 1024)), large=((3, 3, 27, 3), (192, 384, 768, 1536)))

    def __init__(self, arch: str = 'tiny', *, drop_path_rate: float = 0.0, layer_scale: float = 1e-6,
                 out_stem: bool = False, in_channels: int = 3, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if arch not in self.ARCHS:
            raise ValueError(f'arch must be one of {list(self.ARCHS)}, got {arch!r}')
        depths, widths = self.ARCHS[arch]
        self.out_stem = out_stem
        self.downsamples = nn.ModuleList([nn.Sequential(nn.Conv2d(in_channels, widths[0], 4, 4),
                                                        LayerNorm2d(widths[0]))])
        self.downsamples.extend(nn.Sequential(LayerNorm2d(a), nn.Conv2d(a, b, 2, 2))
                                for a, b in zip(widths, widths[1:]))
        rates = (drop_path_rate * i / (sum(depths) - 1) for i in range(sum(depths)))
        self.stages = nn.ModuleList(
            nn.Sequential(*(_ConvNeXtBlock(width, next(rates), layer_scale) for _ in range(depth)))
            for depth, width in zip(depths, widths))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                trunc_normal_(module.weight, 0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> levels from fine to coarse."""
        levels: Sequence[Tensor] = []
        for i, (downsample, stage) in enumerate(zip(self.downsamples, self.stages)):
            # DeepLab2's padding: one before and two after a stride of 4, one after a stride of 2.
            x = downsample(F.pad(x, (1, 2, 1, 2) if i == 0 else (0, 1, 0, 1)))
            if i == 0 and self.out_stem:
                levels.append(x)
            x = stage(x)
            levels.append(x)
        return tuple(levels)
