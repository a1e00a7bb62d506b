"""KTPFormer: from windows of 2-D poses to 3-D poses of the same frames (section 3, figure 2)."""
import torch
from torch import Tensor, nn

from mmxf.layers.lean_block import swap
from mmxf.layers.lean_linear import norm_linear
from mmxf.layers.recompute import recompute
from mmxf.registry import MODELS
from mmxf.structures.skeleton import Skeleton

from .encoder import PoseBlock

# LayerNorm's eps of torch, which the official code has in the blocks with a prior.
_PRIOR_EPS = 1e-5


@MODELS.register_module()
class KTPFormer(nn.Module):
    """Spatial and temporal blocks in turns; the first of each carries its prior.

    Without priors, `spatial_prior=dict(type='LinearEmbedding')` and `temporal_prior=None`, this is MixSTE.

    Args:
        skeleton: the data set's, for the number of joints and their links.
        num_frames: F of a window.
        channels: of a token.
        depth: pairs of a spatial and a temporal block, the pair with the priors included.
        num_heads, mlp_ratio: of the blocks.
        drop_path: of the last pair in training; the first has 0, those between on a line.
        spatial_prior: config of the part that makes tokens of joints: KinematicsPrior or LinearEmbedding.
        temporal_prior: config of the part that the tokens of a joint's frames pass first: TrajectoryPrior or None.
        position_std: of the position embeddings at the start. The official 0 makes all joints alike until training has told them
            apart, which takes a while.
        in_channels: of a joint: 2, or more where a denoiser sees a noisy pose as well.
        chunk_mlp: keeps no hidden activations of the MLPs for the backward pass, on the CPU: less memory, more time.
        recompute_blocks: makes the blocks' inner tensors again in the backward pass: less memory, a third more time.
    """

    def __init__(self, skeleton: dict, num_frames: int = 243, channels: int = 512, depth: int = 8, num_heads: int = 8,
                 mlp_ratio: float = 2.0, drop_path: float = 0.1, spatial_prior: dict | None = None,
                 temporal_prior: dict | None = None, in_channels: int = 2, position_std: float = 0.0,
                 chunk_mlp: bool = False, recompute_blocks: bool = False) -> None:
        super().__init__()
        self.num_frames, self.num_joints, self.in_channels = num_frames, len(Skeleton.from_metainfo(skeleton)), in_channels
        self.channels, self.recompute_blocks = channels, recompute_blocks
        spatial_prior = dict(spatial_prior or dict(type='LinearEmbedding'))
        self.spatial_prior = MODELS.build(dict(spatial_prior, skeleton=skeleton, in_channels=in_channels, channels=channels))
        self.temporal_prior = None if temporal_prior is None else MODELS.build(
            dict(temporal_prior, num_frames=num_frames, channels=channels))
        self.spatial_position = nn.Parameter(torch.zeros(1, self.num_joints, channels))
        self.temporal_position = nn.Parameter(torch.zeros(1, num_frames, channels))
        if position_std:
            for position in (self.spatial_position, self.temporal_position):
                nn.init.normal_(position, std=position_std)
        rates = [drop_path * i / max(depth - 1, 1) for i in range(depth)]

        def blocks(has_prior: bool) -> nn.ModuleList:
            return nn.ModuleList([
                PoseBlock(channels, num_heads, mlp_ratio, rate, _PRIOR_EPS if has_prior and i == 0 else 1e-6,
                          chunk_mlp)
                for i, rate in enumerate(rates)])

        self.spatial_blocks = blocks(spatial_prior['type'] != 'LinearEmbedding')
        self.temporal_blocks = blocks(temporal_prior is not None)
        # One norm for all spatial blocks, one for all temporal ones.
        self.spatial_norm = nn.LayerNorm(channels, eps=1e-6)
        self.temporal_norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, 3))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """Lifts windows.

        Args:
            x: (B, F, K, in).
            condition: (B, C), added to all tokens of a window: a denoiser's time step.

        Returns:
            (B, F, K, 3), metres, relative to the root.

        Raises:
            ValueError: for another number of frames, joints or channels than the model was built for.
        """
        expected = (self.num_frames, self.num_joints, self.in_channels)
        if x.dim() != 4 or x.shape[1:] != expected:
            raise ValueError(f'the model takes windows (B, {", ".join(map(str, expected))}) of frames, joints and channels, '
                             f'got {tuple(x.shape)}')
        batch, frames, joints = x.shape[:3]
        x = self.spatial_prior(x.flatten(0, 1)) + self.spatial_position         # (B F, K, C)
        if condition is not None:
            x = x + condition.repeat_interleave(frames, 0)[:, None]
        for index, (spatial, temporal) in enumerate(zip(self.spatial_blocks, self.temporal_blocks)):
            if index:
                x = self._block(spatial, x, self.temporal_norm, joints)
            else:
                x = self._block(spatial, x)
                x = swap(self.spatial_norm(x), frames)                                      # (B K, F, C)
                x = x if self.temporal_prior is None else self.temporal_prior(x)
                x = self._block(temporal, x + self.temporal_position)
                continue
            x = self._block(temporal, x, self.spatial_norm, frames)
        x = norm_linear(self.temporal_norm(x), *self.head)                                       # (B K, F, 3)
        return swap(x, joints).view(batch, frames, joints, 3)

    def _block(self, block: nn.Module, *args) -> Tensor:
        return recompute(block, block, *args) if self.recompute_blocks else block(*args)
