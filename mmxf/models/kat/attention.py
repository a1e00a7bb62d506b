"""Multi-head self-attention over all tokens or in windows, and its mimetic start (arXiv:2305.09828) as KAT's code has it."""
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Self-attention through `scaled_dot_product_attention`.

    Args:
        channels: of the tokens.
        num_heads: must divide `channels`.
        dropout: of attention weights, in training.
        proj_dropout: of the result.
    """

    def __init__(self, channels: int, num_heads: int, dropout: float = 0.0, proj_dropout: float = 0.0) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f'{channels} channels cannot be parted into {num_heads} heads')
        self.num_heads, self.dropout = num_heads, dropout
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.proj_drop = nn.Dropout(proj_dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)     # (B, heads, N, C / heads) each
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return self.proj_drop(self.proj(out.transpose(1, 2).flatten(2)))

    @torch.no_grad()
    def mimetic(self) -> None:
        """Queries times keys near 0.7 I, values times projection near -0.4 I, each plus noise of that size."""
        channels = self.proj.in_features
        head = channels // self.num_heads
        weight = self.qkv.weight                                                    # (3 C, C)
        for h in range(self.num_heads):
            q, k = _factors(channels, 0.7, 0.7)
            weight[h * head:(h + 1) * head] = q[:, :head].T
            weight[channels + h * head:channels + (h + 1) * head] = k[:head]
        value, proj = _factors(channels, 0.4, -0.4)
        weight[2 * channels:] = value
        self.proj.weight.copy_(proj)


def _factors(size: int, noise: float, identity: float) -> tuple[Tensor, Tensor]:
    """Left and right factor of uniform noise plus a multiple of the identity, by singular values."""
    bound = (3 / size) ** 0.5
    matrix = noise * torch.empty(size, size).uniform_(-bound, bound) + identity * torch.eye(size)
    u, s, v = torch.linalg.svd(matrix)
    return u * s.sqrt(), s.sqrt()[:, None] * v


def windows(x: Tensor, size: int) -> Tensor:
    """(B, H, W, C) -> (B * windows, size * size, C), padded with zeros right and below."""
    height, width = x.shape[1:3]
    if isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt):
        return _any_windows(x, size)
    x = F.pad(x, (0, 0, 0, -width % size, 0, -height % size))
    rows, columns = x.shape[1] // size, x.shape[2] // size
    return x.view(x.shape[0], rows, size, columns, size, -1).transpose(2, 3).reshape(-1, size * size, x.shape[-1])


def merge_windows(x: Tensor, size: int, height: int, width: int) -> Tensor:
    """The inverse of `windows`: (B * windows, size * size, C) -> (B, H, W, C)."""
    if isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt):
        return _merge_any_windows(x, size, height, width)
    rows, columns = -(-height // size), -(-width // size)
    x = x.view(-1, rows, columns, size, size, x.shape[-1]).transpose(2, 3)
    return x.reshape(-1, rows * size, columns * size, x.shape[-1])[:, :height, :width]


def _any_windows(x: Tensor, size: int) -> Tensor:
    """`windows` by indices: a file exported for all sizes must not ask whether a side is padded, or how many windows there are.

    One window of zeros comes last, so that even the smallest image has two.
    """
    height, width = x.shape[1:3]
    rows, columns = (height + size - 1) // size, (width + size - 1) // size     # ONNX divides towards zero
    window, place = torch.arange(rows * columns + 1, device=x.device)[:, None], torch.arange(size * size, device=x.device)
    above = window // columns
    row, column = above * size + place // size, (window - above * columns) * size + place % size       # (windows, size * size)
    index = torch.where((row < height) & (column < width), row * width + column, height * width)    # the last token is zero
    tokens = F.pad(x.flatten(1, 2), (0, 0, 0, 1)).index_select(1, index.flatten())
    return tokens.unflatten(1, (-1, size * size)).flatten(0, 1)


def _merge_any_windows(x: Tensor, size: int, height: int, width: int) -> Tensor:
    """`merge_windows` by indices."""
    rows, columns = (height + size - 1) // size, (width + size - 1) // size     # ONNX divides towards zero
    row, column = torch.arange(height, device=x.device)[:, None], torch.arange(width, device=x.device)
    index = (row // size * columns + column // size) * size * size + row % size * size + column % size     # (H, W)
    tokens = x.unflatten(0, (-1, rows * columns + 1)).flatten(1, 2)
    return tokens.index_select(1, index.flatten()).unflatten(1, (height, width))
