"""Self-attention among patches: one token for each, its features of the coarsest level in a row (section 3.3)."""
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmxf.registry import MODELS


class _Attention(nn.Module):
    """Queries, keys and values without bias, a projection with one."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(channels, channels, bias=False)
        self.kv = nn.Linear(channels, 2 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)                       # (B, heads, N, C / heads)
                   for part in (self.q(x), *self.kv(x).chunk(2, -1)))
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class _Block(nn.Module):
    """Attention and MLP, norms before."""

    def __init__(self, channels: int, num_heads: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(channels * mlp_ratio)
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attn = _Attention(channels, num_heads)
        self.mlp = nn.ModuleDict(dict(fc1=nn.Linear(channels, hidden), fc2=nn.Linear(hidden, channels)))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp['fc2'](F.gelu(self.mlp['fc1'](self.norm2(x))))


@MODELS.register_module()
class PatchTransformer(BaseModule):
    """Features (B, N, C, h, w) of patches, plus one token a patch that has seen all others, the same at all its pixels.

    The token is what is left of a patch's features after a reduction of channels, flattened; so h w must divide C.

    Args:
        num_patches: N, for the learned positions.
        channels: C, also the width of the tokens.
        size: (h, w) of the features.
        depth: blocks. num_heads, mlp_ratio: of a block.
        init_cfg: mmengine's.

    Raises:
        ValueError: where the pixels do not divide the channels; names patch sizes that fit.
    """

    def __init__(self, num_patches: int, channels: int = 512, size: tuple[int, int] = (4, 4), *, depth: int = 6,
                 num_heads: int = 4, mlp_ratio: float = 4.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        pixels = size[0] * size[1]
        if not pixels or channels % pixels:
            raise ValueError(f'a patch has {size[0]} x {size[1]} features, whose number must divide the {channels} channels of '
                             'the token: take square patches of 32, 64, 128 or 256 pixels')
        self.down = nn.Conv2d(channels, channels // pixels, 1)
        self.position = nn.Parameter(torch.zeros(1, num_patches, channels))
        nn.init.trunc_normal_(self.position, std=0.02)
        self.blocks = nn.ModuleList(_Block(channels, num_heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, C, h, w) to the same."""
        x = self.down(features.flatten(0, 1)).flatten(1).unflatten(0, features.shape[:2])         # (B, N, C)
        x = x + self.position
        for block in self.blocks:
            x = block(x)
        return features + self.norm(x)[..., None, None]
