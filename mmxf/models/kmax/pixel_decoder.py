"""Pixel decoder: axial-attention blocks at strides 32 and 16, bottleneck blocks at 8 and 4, joined by resized sums
(kMaX-DeepLab section 3.3; Axial-DeepLab, arXiv:2003.07853; structure as in the official code)."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmxf.layers.conv_norm import NORM_EPS, NORM_MOMENTUM, ConvNorm
from mmxf.layers.folding import can_fold, norm_affine
from mmxf.layers.layer_norm import LayerNorm2d
from mmxf.layers.recompute import recompute
from mmxf.layers.relative_position import RelativePositionTable
from mmxf.layers.strips import strips
from mmxf.registry import MODELS


def resize(x: Tensor, size: tuple[int, int], align_corners: bool | None = None) -> Tensor:
    """Bilinear resize of (B, C, h, w) to size (H, W). By default corners are aligned exactly when the input's width is odd,
    which is the official rule: odd maps come from odd crops (641, 1281), whose strides share their corner pixels."""
    if x.shape[-2:] == tuple(size):
        return x
    align_corners = bool(x.shape[-1] % 2 == 1) if align_corners is None else align_corners
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=align_corners)


def channels_last_gradient(x: Tensor) -> Tensor:
    """x itself; its gradient reaches the batch norm before it with channels last in memory, as x is.

    Other orders are slow there, and a broadcast gradient, as that of a sum, comes out wrong (torch 2.13, CPU).
    """
    if x.requires_grad:
        x.register_hook(lambda grad: grad.contiguous(memory_format=torch.channels_last))
    return x


def gelu(x: Tensor) -> Tensor:
    """GELU of what nobody else reads; in its own memory when no gradient is asked for."""
    return F.gelu(x) if torch.is_grad_enabled() else torch.ops.aten.gelu_(x)


class AxialAttention(nn.Module):
    """Self-attention along one axis with relative positions for query, key and value.

    Args:
        in_channels: channels of the input.
        key_depth, value_depth: total over all heads; value_depth is the output's width.
        num_heads: number of heads.
        axis: 'height' or 'width'.
        max_span: longest side the relative tables serve.
    """

    def __init__(self, in_channels: int, key_depth: int, value_depth: int, num_heads: int, axis: str,
                 max_span: int = 255) -> None:
        super().__init__()
        self.axis, self.num_heads = axis, num_heads
        self.splits = [key_depth, key_depth, value_depth]
        self.qkv = ConvNorm(in_channels, sum(self.splits), norm=True, init_std=in_channels ** -0.5)
        self.query_rpe = RelativePositionTable(key_depth // num_heads, max_span)
        self.key_rpe = RelativePositionTable(key_depth // num_heads, max_span)
        self.value_rpe = RelativePositionTable(value_depth // num_heads, max_span)
        self.similarity_norm = nn.BatchNorm2d(3 * num_heads, eps=NORM_EPS, momentum=NORM_MOMENTUM)
        self.output_norm = nn.BatchNorm2d(2 * value_depth, eps=NORM_EPS, momentum=NORM_MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, value_depth, H, W)."""
        B, _, H, W = x.shape
        qkv = channels_last_gradient(self.qkv(x))
        # The other axis joins the batch: rows = B * (H or W), L = length of the attended axis.
        rows = qkv.permute(0, 3, 2, 1) if self.axis == 'height' else qkv.permute(0, 2, 3, 1)
        rows = rows.flatten(0, 1)                                                  # (R, L, 2 dk + dv)
        q, k, v = (t.unflatten(2, (self.num_heads, -1)).transpose(1, 2)
                   for t in rows.split(self.splits, dim=2))                        # (R, h, L, d), views
        if can_fold(self.similarity_norm):
            maps = qkv.new_empty(B, H, W, v.shape[1] * v.shape[3])
            rows = maps.transpose(1, 2) if self.axis == 'height' else maps         # (B, W or H, L, dv)
            self._attend_folded(q, k, v, rows.unflatten(3, (self.num_heads, -1)))
            return maps.permute(0, 3, 1, 2)
        # The (R, h, L, L) tensors are many and cheap to make again.
        out = recompute(self, self._attend, q, k, v)                               # (R, L, dv)
        out = out.unflatten(0, (B, -1))
        return out.permute(0, 3, 2, 1) if self.axis == 'height' else out.permute(0, 3, 1, 2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # Copied once, so that rows and heads are one batch for every product below.
        q, k, v = (t.contiguous() for t in (q, k, v))
        weights = self._similarity(q, k).float().softmax(-1)                       # (R, h, L, L)
        return self._retrieve(weights, v)

    def _similarity(self, q: Tensor, k: Tensor) -> Tensor:
        """Sum of the three normalised terms content, query position, key position: (R, h, L, L)."""
        length = q.shape[2]
        query_rpe = self.query_rpe(length).transpose(1, 2)                         # (l, d, m)
        key_rpe = self.key_rpe(length).permute(1, 2, 0)                            # (m, d, l)
        terms = torch.cat([torch.matmul(q, k.transpose(2, 3)), self._by_position(q, query_rpe),
                           self._by_position(k, key_rpe).transpose(2, 3)], dim=1)  # (R, 3h, L, L)
        return self.similarity_norm(terms).unflatten(1, (3, self.num_heads)).sum(1)

    @staticmethod
    def _by_position(x: Tensor, table: Tensor) -> Tensor:
        """Every position times its own matrix: x (R, h, L, i), table (L, i, j) -> (R, h, L, j), a view."""
        return torch.bmm(x.flatten(0, 1).transpose(0, 1), table).transpose(0, 1).unflatten(0, x.shape[:2])

    def _retrieve(self, weights: Tensor, v: Tensor) -> Tensor:
        """Sum of the normalised content and position values: (R, L, dv)."""
        value_rpe = self.value_rpe(v.shape[2])                                     # (L, L, d)
        content = torch.matmul(weights.to(v), v)                                   # (R, h, L, d)
        position = self._by_position(weights.to(value_rpe), value_rpe)
        content, position = (t.transpose(1, 2).flatten(2) for t in (content, position))
        both = torch.cat([content, position], dim=2)                               # (R, L, 2 dv)
        # Seen as a map with channels last in memory, for which batch norm is several times faster than for (R, C, L).
        both = channels_last_gradient(self.output_norm(both.unsqueeze(0).permute(0, 3, 1, 2)))
        return both.permute(0, 2, 3, 1).squeeze(0).unflatten(2, (2, -1)).sum(2)

    def _attend_folded(self, q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> None:
        """`_attend` with fixed norms, which are factors of heads and of channels, into `out` (B, R / B, L, h, d)."""
        length = q.shape[2]
        # The norm's shift cancels in the softmax over keys; its factors, one a head and term, go into q and k.
        content, query, key = norm_affine(self.similarity_norm)[0].view(3, -1, 1, 1)
        sums = torch.matmul(_scaled(q, content), k.contiguous().transpose(2, 3))   # (R, h, L, L)
        sums += self._by_position(_scaled(q, query), self.query_rpe(length).transpose(1, 2))
        sums += self._by_position(_scaled(k, key), self.key_rpe(length).permute(1, 2, 0)).transpose(2, 3)
        weights = sums.float().softmax(-1).to(v)
        scale, shift = (t.view(2, self.num_heads, -1) for t in norm_affine(self.output_norm))
        content = torch.matmul(weights, v.contiguous())                            # (R, h, L, d)
        position = self._by_position(weights, self.value_rpe(length).to(v))
        content, position = (t.transpose(1, 2).view_as(out) for t in (content, position))
        torch.addcmul(shift[0] + shift[1], content, scale[0], out=out)
        out.addcmul_(position, scale[1])


def _scaled(x: Tensor, factor: Tensor) -> Tensor:
    """x * factor, contiguous in memory whatever x is."""
    return torch.mul(x, factor, out=x.new_empty(x.shape))


class Block(nn.Module):
    """Pre-activated residual block; its middle is axial attention (height, then width) or a 3x3 convolution.

    Args:
        in_channels: channels of the input.
        base: base width b: axial (2b, b, 4b), bottleneck (b, b, 4b).
        kind: 'axial' or 'bottleneck'.
        num_heads, max_span: of the axial attention.
        drop_path: probability of dropping the residual branch.
    """

    def __init__(self, in_channels: int, base: int, kind: str, *, num_heads: int, max_span: int,
                 drop_path: float) -> None:
        super().__init__()
        self.kind = kind
        out_channels = 4 * base
        if kind == 'axial':
            self.conv1 = ConvNorm(in_channels, 2 * base, gelu=True)
            self.middle = nn.Sequential(AxialAttention(2 * base, base, 2 * base, num_heads, 'height', max_span),
                                        AxialAttention(2 * base, base, 2 * base, num_heads, 'width', max_span),
                                        nn.GELU())
            width = 2 * base
        else:
            self.conv1 = ConvNorm(in_channels, base, gelu=True)
            self.middle = ConvNorm(base, base, 3, gelu=True)
            width = base
        self.conv3 = ConvNorm(width, out_channels, norm_init=0.0)
        self.shortcut = None if in_channels == out_channels else ConvNorm(in_channels, out_channels)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 4 base, H, W)."""
        x = gelu(x)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = self.middle(self.conv1(x))
        if isinstance(self.drop_path, nn.Identity) or not self.training:
            return self.conv3(x, add=shortcut, into=True)
        return self.drop_path(self.conv3(x)) + shortcut


class ResizedFuse(nn.Module):
    """Brings two levels to one width and the higher resolution, and adds them."""

    def __init__(self, low_channels: int, high_channels: int, out_channels: int) -> None:
        super().__init__()
        self.low = ConvNorm(low_channels, out_channels)
        self.high = None if high_channels == out_channels else ConvNorm(high_channels, out_channels)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Activated low (B, C, h, w) and raw high (B, C', H, W) -> (B, out, H, W)."""
        low = resize(self.low(low), high.shape[-2:])
        return low + high if self.high is None else self.high(gelu(high), add=low, into=True)


@MODELS.register_module()
class KMaXPixelDecoder(nn.Module):
    """Turns backbone levels into pixel features for the cluster layers and for the final masks.

    Args:
        in_channels: channels of the backbone's outputs, in the backbone's order.
        in_index: which of them enter the stages, from coarse to fine.
        base_channels: base width of each stage; a stage puts out four times that.
        num_blocks: blocks in each stage.
        block_types: 'axial' or 'bottleneck' for each stage.
        num_heads: heads of the axial attention.
        max_span: longest side the relative position tables serve, in positions of their stride.
        drop_path: probability of dropping a residual branch.

    Raises:
        ValueError: if the four per-stage lists differ in length.
    """

    def __init__(self, in_channels: Sequence[int], *, in_index: Sequence[int] = (3, 2, 1, 0),
                 base_channels: Sequence[int] = (512, 256, 128, 64), num_blocks: Sequence[int] = (1, 5, 1, 1),
                 block_types: Sequence[str] = ('axial', 'axial', 'bottleneck', 'bottleneck'), num_heads: int = 8,
                 max_span: int = 255, drop_path: float = 0.0) -> None:
        super().__init__()
        if not len(in_index) == len(base_channels) == len(num_blocks) == len(block_types):
            raise ValueError(f'in_index, base_channels, num_blocks and block_types describe the same stages, but have '
                             f'{len(in_index)}, {len(base_channels)}, {len(num_blocks)}, {len(block_types)} entries')
        unknown = set(block_types) - {'axial', 'bottleneck'}
        if unknown:
            raise ValueError(f"block_types knows 'axial' and 'bottleneck', got {sorted(unknown)}")
        self.in_index = tuple(in_index)
        widths = [in_channels[i] for i in in_index]
        self.in_norms = nn.ModuleList(LayerNorm2d(width) for width in widths)
        self.stages, self.fuses = nn.ModuleList(), nn.ModuleList()
        for i, (base, blocks, kind) in enumerate(zip(base_channels, num_blocks, block_types)):
            if i > 0:
                self.fuses.append(ResizedFuse(4 * base_channels[i - 1], widths[i], base))
            first = widths[0] if i == 0 else base
            self.stages.append(nn.ModuleList(
                Block(first if j == 0 else 4 * base, base, kind, num_heads=num_heads, max_span=max_span,
                      drop_path=drop_path) for j in range(blocks)))

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Backbone levels, each (B, C, H, W), to

        - the activated outputs of the first three stages (strides 32, 16, 8), which the cluster layers read, and
        - the raw output of the last stage (stride 4), from which the masks are predicted.
        """
        activated, x = [], self.in_norms[0](features[self.in_index[0]])
        for i, stage in enumerate(self.stages):
            if i > 0:
                x = recompute(self, self._join, i, activated[-1], features[self.in_index[i]])
            for block in stage:
                # At strides 8 and 4 maps are large and convolutions few: these blocks are made again in the backward pass.
                x = block(x) if block.kind == 'axial' else recompute(block, block, x)
            if i < len(self.stages) - 1:
                # Every later reader activates this map first: once is enough.
                activated.append(gelu(x))
        return activated[:3], x

    def _join(self, stage: int, low: Tensor, feature: Tensor) -> Tensor:
        """The input of a stage from the stage before it and its level of the backbone."""
        fuse, norm = self.fuses[stage - 1], self.in_norms[stage]
        if fuse.high is None or not can_fold(fuse.high.norm) or feature.device.type != 'cpu' or len(feature) > 1:
            return fuse(low, norm(feature))
        out = resize(fuse.low(low), feature.shape[-2:])
        for rows, *_ in strips(feature):
            part = out[:, :, rows]
            sums = fuse.high(gelu(norm(feature[:, :, rows])), add=part, into=True)
            if sums.data_ptr() != part.data_ptr():
                part.copy_(sums)
        return out
