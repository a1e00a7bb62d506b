"""mmdet's ResNet blocks with their norms folded into their convolutions in inference (`mmxf.layers.folding`)."""
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from .folding import can_fold, conv_norm, conv_norm_pair


def _shortcut(block: nn.Module, x: Tensor) -> Tensor:
    return x if block.downsample is None else conv_norm(block.downsample[0], block.downsample[1], x)


class FoldedBasicBlock(BasicBlock):
    """mmdet's block, its norms folded into its convolutions in inference."""

    def forward(self, x: Tensor, into: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'); `into`: nobody else reads x, the result may take its memory."""
        if not can_fold(self.norm1):
            return super().forward(x)
        out = conv_norm(self.conv1, self.norm1, x, 'relu')
        return conv_norm(self.conv2, self.norm2, out, 'relu', add=_shortcut(self, x), into=into or self.downsample is not None)


class FoldedBottleneck(Bottleneck):
    """mmdet's block, its norms folded into its convolutions in inference."""

    def forward(self, x: Tensor, into: bool = False) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W'); `into`: nobody else reads x, the result may take its memory."""
        if not can_fold(self.norm1):
            return super().forward(x)
        out = conv_norm(self.conv1, self.norm1, x, 'relu')
        out = conv_norm(self.conv2, self.norm2, out, 'relu')
        if self.downsample is not None and self.stride > 1:
            return conv_norm_pair((self.conv3, self.norm3), out, tuple(self.downsample), x, 'relu')
        return conv_norm(self.conv3, self.norm3, out, 'relu', add=_shortcut(self, x), into=into or self.downsample is not None)


def folded_archs(resnet: type) -> dict:
    """``arch_settings`` of a ResNet class of mmdet, with these blocks in place of its own."""
    return {depth: (FoldedBasicBlock if block is BasicBlock else FoldedBottleneck, stages)
            for depth, (block, stages) in resnet.arch_settings.items()}
