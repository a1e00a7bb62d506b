"""The two priors, as parts that any pose transformer can name: what becomes of tokens before Q, K and V are made of them."""
from torch import Tensor, nn

from mmxf.registry import MODELS
from mmxf.structures.skeleton import Skeleton, chain_adjacency

from .graph import PriorGraphConv


@MODELS.register_module()
class KinematicsPrior(nn.Module):
    """Joints become tokens by a graph convolution over the skeleton (KPA, section 3.2); there is no other embedding.

    Args:
        skeleton: the data set's, for its adjacency.
        in_channels: of a joint's input.
        channels: of a token.
    """

    def __init__(self, skeleton: dict, in_channels: int = 2, channels: int = 512) -> None:
        super().__init__()
        self.conv = PriorGraphConv(Skeleton.from_metainfo(skeleton).adjacency(), in_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, K, in) joints of single frames to tokens (N, K, C)."""
        return self.conv(x)


@MODELS.register_module()
class LinearEmbedding(nn.Linear):
    """Joints become tokens by one linear map, without any prior: MixSTE's.

    Args:
        skeleton: unused; here so that this part and `KinematicsPrior` can replace one another.
        in_channels: of a joint's input.
        channels: of a token.
    """

    def __init__(self, skeleton: dict | None = None, in_channels: int = 2, channels: int = 512) -> None:
        super().__init__(in_channels, channels)


@MODELS.register_module()
class TrajectoryPrior(nn.Module):
    """Two graph convolutions over the frames of one joint, each linked to the next, around which the tokens bypass (TPA,
    section 3.3).

    Args:
        num_frames: of a window.
        channels: of a token.
    """

    def __init__(self, num_frames: int = 243, channels: int = 512) -> None:
        super().__init__()
        chain = chain_adjacency(num_frames)
        self.convs = nn.Sequential(PriorGraphConv(chain, channels, channels), PriorGraphConv(chain, channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, C) tokens of single joints to the same."""
        return x + self.convs(x)
