"""The simple feature pyramid of ViTDet (arXiv:2203.16527): all levels from the last map of a plain transformer."""
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmxf.layers.layer_norm import LayerNorm2d
from mmxf.registry import MODELS


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Strides 4, 8, 16 and 32 from a map of stride 16, each through a 1x1 and a 3x3 convolution, and one more by pooling.

    Args:
        in_channels: of the map.
        out_channels: of all levels.
        scales: of the levels, relative to the map: of 4, 2, 1 and 0.5.
        extra_level: whether a last level follows, every second pixel of the one before.
        init_cfg: mmengine's.

    Raises:
        ValueError: for another scale.
    """

    def __init__(self, in_channels: int, out_channels: int = 256, *, scales: tuple[float, ...] = (4, 2, 1, 0.5),
                 extra_level: bool = True, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.extra_level = extra_level
        c = in_channels
        resize = {
            4: lambda: (nn.ConvTranspose2d(c, c // 2, 2, 2), LayerNorm2d(c // 2), nn.GELU(),
                        nn.ConvTranspose2d(c // 2, c // 4, 2, 2)),
            2: lambda: (nn.ConvTranspose2d(c, c // 2, 2, 2),),
            1: lambda: (),
            0.5: lambda: (nn.MaxPool2d(2, 2),),
        }
        unknown = set(scales) - set(resize)
        if unknown:
            raise ValueError(f'scales knows {list(resize)}, got {sorted(unknown)}')
        self.levels = nn.ModuleList(
            nn.Sequential(*resize[scale](),
                          nn.Conv2d(c // {4: 4, 2: 2}.get(scale, 1), out_channels, 1, bias=False), LayerNorm2d(out_channels),
                          nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), LayerNorm2d(out_channels))
            for scale in scales)

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The last of `maps` (B, C, h, w) -> levels from fine to coarse, (B, out_channels, ., .) each."""
        levels = [level(maps[-1]) for level in self.levels]
        if self.extra_level:
            levels.append(F.max_pool2d(levels[-1], 1, 2))
        return tuple(levels)
