"""Transformer blocks over joints of a frame and over frames of a joint, in turns (MixSTE, arXiv:2203.00859)."""
import torch.nn.functional as F
from torch import Tensor, nn

from mmxf.layers.chunked_mlp import chunked_mlp
from mmxf.layers.drop_path import residual
from mmxf.layers.lean_linear import gelu_mlp, is_lean, norm_linear
from mmxf.layers.made_again import MadeAgain
from mmxf.layers.packed_attention import attend


class PoseBlock(nn.Module):
    """Self-attention and MLP, each behind a layer norm.

    Args:
        channels: of a token.
        num_heads: of the attention.
        mlp_ratio: hidden channels of the MLP as a multiple of `channels`.
        drop_path: probability that a row of the batch skips a branch in training.
        chunk_mlp: keeps no hidden activations of the MLP for the backward pass: less memory, more time.
        attention_eps: of the layer norm before the attention; the blocks with a prior have torch's default, the others 1e-6.
    """

    def __init__(self, channels: int, num_heads: int = 8, mlp_ratio: float = 2.0, drop_path: float = 0.0,
                 attention_eps: float = 1e-6, chunk_mlp: bool = False) -> None:
        super().__init__()
        self.run_mlp = chunked_mlp if chunk_mlp else gelu_mlp
        self.num_heads, self.drop_path = num_heads, drop_path
        self.attention_norm = nn.LayerNorm(channels, eps=attention_eps)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels, eps=1e-6)
        hidden = int(channels * mlp_ratio)
        self.mlp = nn.ModuleList([nn.Linear(channels, hidden), nn.Linear(hidden, channels)])

    def forward(self, x: Tensor, again: MadeAgain | None = None) -> Tensor:
        """(N, L, C) to the same: attention over L. `again` may know how `x` is made again for the backward pass."""
        x = residual(x, self.attend, self.drop_path, self.training, again)
        return residual(x, self.feed_forward, self.drop_path, self.training)

    def attend(self, x: Tensor) -> Tensor:
        n, length, channels = x.shape
        qkv = norm_linear(x, self.attention_norm, self.qkv)                          # (N, L, 3 C)
        if is_lean(qkv):
            return attend(qkv, self.num_heads, self.project)
        q, k, v = qkv.view(n, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)  # (N, heads, L, C / heads) each
        out = F.scaled_dot_product_attention(q, k, v)
        return self.project(out.transpose(1, 2).reshape(n, length, channels))

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.run_mlp(x, self.mlp_norm, *self.mlp)
