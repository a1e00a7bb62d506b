"""3x3 convolutions on the CPU with a quarter of the multiplications (Winograd's F(4x4, 3x3), Lavin and Gray, arXiv:1509.09308).

Tiles of 6x6 inputs become 36 coefficients, each of which is an ordinary product with its own matrix of weights: one grouped 1x1
convolution. oneDNN's direct convolution runs at the processor's limit, so fewer multiplications are all that is left to save:
5.2 ms in place of 8.9 for 256 channels of 41x41 pixels (two Zen 4 cores). It pays between 128 and 256 channels: below, moving the
tiles costs more than is saved, above, the weights grow too large. Rounding errors are about 1e-5 of the largest value, where
the direct convolution has 1e-6.
"""
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CHANNELS = range(128, 257)
_ONE_BY_ONE = [[0, 0], [1, 1], [1, 1], 36]     # padding, stride, dilation, groups

_INPUT = torch.tensor([[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
                       [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], dtype=torch.float64)
_WEIGHT = torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]], dtype=torch.float64) / 24
_OUTPUT = torch.tensor([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], dtype=torch.float64)
# Both axes at once: (36, 36) and (16, 36).
_TILE_TO_COEFFICIENTS, _COEFFICIENTS_TO_TILE = (torch.kron(m, m).float() for m in (_INPUT, _OUTPUT))


def pays(conv: nn.Module) -> bool:
    """Whether a convolution is one of those that are faster this way."""
    return isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3) and conv.groups == 1 and \
        conv.stride == conv.padding == conv.dilation == (1, 1) and \
        conv.in_channels in CHANNELS and conv.out_channels in CHANNELS


def pack(weight: Tensor, tiles: int) -> Tensor:
    """Weights (C', C, 3, 3) to those of the grouped convolution, in oneDNN's order for about so many tiles."""
    scale = _WEIGHT.to(weight.device)
    weights = torch.einsum('ua,oiab,vb->uvoi', scale, weight.double(), scale).float()                  # (6, 6, C', C)
    weights = weights.flatten(0, 2)[:, :, None, None].contiguous()
    return torch.ops.mkldnn._reorder_convolution_weight(weights, *_ONE_BY_ONE, [1, 36 * weight.shape[1], tiles, 1])


def count_tiles(x: Tensor) -> int:
    """Tiles of 4x4 outputs that cover (B, C, H, W)."""
    return x.shape[0] * -(-x.shape[2] // 4) * -(-x.shape[3] // 4)


def winograd(x: Tensor, packed: Tensor, bias: Tensor) -> Tensor:
    """x (B, C, H, W) float32, weights from `pack`, bias (C',) -> (B, C', H, W), a view with channels last."""
    B, C, H, W = x.shape
    rows, cols = -(-H // 4), -(-W // 4)
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 4 * cols + 1 - W, 1, 4 * rows + 1 - H))            # (B, H', W', C)
    image, line, pixel, _ = padded.stride()
    tiles = padded.as_strided((B, rows, cols, 6, 6, C), (image, 4 * line, 4 * pixel, line, pixel, 1)).reshape(-1, 36, C)
    T = len(tiles)
    coefficients = torch.bmm(_TILE_TO_COEFFICIENTS.expand(T, -1, -1), tiles)                           # (T, 36, C)
    products = torch.ops.mkldnn._convolution_pointwise(
        coefficients.view(1, T, 1, -1).permute(0, 3, 1, 2), packed, None, *_ONE_BY_ONE, 'none', [], 'none')
    products = products.permute(0, 2, 3, 1).reshape(T, 36, -1)
    out = torch.bmm(_COEFFICIENTS_TO_TILE.expand(T, -1, -1), products)                                 # (T, 16, C')
    whole = x.new_empty(B, 4 * rows, 4 * cols, len(bias))
    torch.add(out.view(B, rows, cols, 4, 4, -1).transpose(2, 3), bias, out=whole.view(B, rows, 4, cols, 4, -1))
    return whole[:, :H, :W].permute(0, 3, 1, 2)
