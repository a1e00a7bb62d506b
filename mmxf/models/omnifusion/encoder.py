"""mmdet's ResNet with the features that a depth decoder wants, and a place where geometry enters."""
import torch.nn.functional as F
from mmdet.models.backbones import ResNet
from torch import Tensor

from mmxf.layers.folding import conv_norm
from mmxf.layers.resnet_blocks import folded_archs
from mmxf.registry import MODELS


@MODELS.register_module()
class DepthResNet(ResNet):
    """Stem and four stages, strides 2 to 32; names of weights are torchvision's.

    Args:
        depth: 18, 34, 50, 101 or 152.
        norm_eval, zero_init_residual: mmdet's; both off here, as in torchvision.
        kwargs: others of `mmdet.ResNet`.
    """
    arch_settings = folded_archs(ResNet)

    def __init__(self, depth: int, *, norm_eval: bool = False, zero_init_residual: bool = False, **kwargs) -> None:
        super().__init__(depth, norm_eval=norm_eval, zero_init_residual=zero_init_residual, **kwargs)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of stem and stages."""
        widths = [self.base_channels * 2 ** i * self.block.expansion for i in range(self.num_stages)]
        return (self.stem_channels, *widths)

    def early(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Stem (B, C, H/2, W/2) and first stage (B, C', H/4, W/4): what does not see the geometry."""
        stem = self.stem(images) if self.deep_stem else conv_norm(self.conv1, self.norm1, images, 'relu')
        return stem, self._stage(0, F.max_pool2d(stem, 3, 2, 1))

    def late(self, first: Tensor) -> list[Tensor]:
        """The stages after the first."""
        levels = []
        for index in range(1, self.num_stages):
            first = self._stage(index, first)
            levels.append(first)
        return levels

    def _stage(self, index: int, x: Tensor) -> Tensor:
        for number, block in enumerate(getattr(self, self.res_layers[index])):
            x = block(x, into=number > 0)
        return x

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> stem and stages, from fine to coarse."""
        stem, first = self.early(images)
        return (stem, first, *self.late(first))
