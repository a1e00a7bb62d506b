"""Transformer blocks over joints of a frame and over frames of a joint, in turns (MixSTE, arXiv:2203.00859)."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmxf.layers.drop_path import residual
from mmxf.layers.lean_block import lean_block, swap
from mmxf.layers.lean_linear import is_lean, linear, norm_linear, norm_mlp
from mmxf.layers.packed_attention import attention


class PoseBlock(nn.Module):
    """Self-attention and MLP, each behind a layer norm.

    Args:
        channels: of a token.
        num_heads: of the attention.
        mlp_ratio: hidden channels of the MLP as a multiple of `channels`.
        drop_path: probability that a row of the batch skips a branch in training.
        chunk_mlp: keeps no hidden activations of the MLP for the backward pass, on the CPU: less memory, more time.
        attention_eps: of the layer norm before the attention; the blocks with a prior have torch's default, the others 1e-6.
    """

    def __init__(self, channels: int, num_heads: int = 8, mlp_ratio: float = 2.0, drop_path: float = 0.0,
                 attention_eps: float = 1e-6, chunk_mlp: bool = False) -> None:
        super().__init__()
        self.num_heads, self.drop_path, self.chunk_mlp = num_heads, drop_path, chunk_mlp
        self.attention_norm = nn.LayerNorm(channels, eps=attention_eps)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels, eps=1e-6)
        hidden = int(channels * mlp_ratio)
        self.mlp = nn.ModuleList([nn.Linear(channels, hidden), nn.Linear(hidden, channels)])

    def forward(self, x: Tensor, before: nn.LayerNorm | None = None, count: int = 0) -> Tensor:
        """(N, L, C) to the same: attention over L. With `before`, (N' count, L', C) pass that norm and `swap` first."""
        if is_lean(x) and torch.is_grad_enabled():
            return lean_block(x, self.attention_norm, self.qkv, self.project, self.mlp_norm, *self.mlp, num_heads=self.num_heads,
                              drop_path=self.drop_path if self.training else 0.0, before=before, count=count,
                              keep_hidden=not self.chunk_mlp)
        x = x if before is None else swap(before(x), count)
        x = residual(x, self.attend, self.drop_path, self.training)
        return residual(x, self.feed_forward, self.drop_path, self.training)

    def attend(self, x: Tensor) -> Tensor:
        n, length, channels = x.shape
        qkv = norm_linear(x, self.attention_norm, self.qkv)                          # (N, L, 3 C)
        if is_lean(qkv):
            return linear(attention(qkv, self.num_heads)[0], self.project)
        q, k, v = qkv.view(n, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)  # (N, heads, L, C / heads) each
        out = F.scaled_dot_product_attention(q, k, v)
        return self.project(out.transpose(1, 2).reshape(n, length, channels))

    def feed_forward(self, x: Tensor) -> Tensor:
        return norm_mlp(x, self.mlp_norm, *self.mlp)
