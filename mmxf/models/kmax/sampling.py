"""Sampling of pixels for the discrimination and semantic losses, and reading of maps at sampled pixels."""
import torch
from torch import Tensor

# Added to the logits of void pixels: they are drawn only when nothing else is left.
VOID_LOGIT = -99999.0


def uniform_noise(like: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) of the shape of `like`; the one source of randomness of the losses."""
    return torch.rand_like(like)


def gumbel_top_k(logits: Tensor, k: int) -> Tensor:
    """Indices (min(k, P),) of pixels drawn without replacement from the softmax of logits (P,) (Gumbel-top-k trick)."""
    noise = -torch.log(-torch.log(uniform_noise(logits)))
    return torch.topk(logits + noise, min(k, logits.numel())).indices


def sample_pixels(segment_area: Tensor, k: int, exponent: float) -> Tensor:
    """k pixels, those of small segments preferred.

    Args:
        segment_area: (P,) float32, area of the segment that owns each pixel, 0 = void.
        k: how many; all pixels when there are fewer.
        exponent: the preference; a pixel's weight is (P / area) ** exponent.
    """
    logits = torch.log(segment_area.numel() / segment_area.clamp(min=1)) * exponent
    return gumbel_top_k(logits + (segment_area == 0) * VOID_LOGIT, k)


def read_resized(maps: Tensor, index: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """What a bilinear resize of maps (1, C, h, w) to size (H, W) would hold at flat pixels index (K,): (K, C).

    Only the four neighbours of the asked pixels are read; the resized map is never made.
    """
    (h, w), (H, W) = maps.shape[-2:], size
    rows = maps.permute(0, 2, 3, 1).reshape(h * w, -1)                          # (hw, C)
    if (h, w) == (H, W):
        return rows.index_select(0, index)
    y0, y1, fy = _neighbours(torch.div(index, W, rounding_mode='floor'), h, H, align_corners)
    x0, x1, fx = _neighbours(index % W, w, W, align_corners)
    fy, fx = fy.to(rows)[:, None], fx.to(rows)[:, None]
    corners = torch.cat([y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1])
    shares = torch.cat([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx])
    return (rows.index_select(0, corners) * shares).unflatten(0, (4, -1)).sum(0)


def _neighbours(position: Tensor, source: int, target: int, align_corners: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Lower and upper neighbour and the upper one's share, along one axis."""
    position = position.to(torch.float64)
    if align_corners:
        place = position * ((source - 1) / max(target - 1, 1))
    else:
        place = ((position + 0.5) * (source / target) - 0.5).clamp(min=0)
    lower = place.floor().long().clamp(max=source - 1)
    return lower, (lower + 1).clamp(max=source - 1), place - lower
