"""KAT: a vision transformer whose feed-forward parts are group-rational KAN layers; for classification and dense prediction."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmxf.registry import MODELS

from .attention import Attention, merge_windows, windows
from .grkan import GRKAN


class Block(nn.Module):
    """Attention and feed-forward part, each behind a layer norm and added to its input.

    Args:
        channels: of the tokens. num_heads: of attention. ffn: config of the feed-forward part, as mmcv's `FFN` is built.
        drop_path: probability of a branch to be left out for an image. dropout, attention_dropout: as named.
        window: side of the windows of attention in tokens; 0 for all tokens.
    """

    def __init__(self, channels: int, num_heads: int, ffn: dict, *, drop_path: float = 0.0, dropout: float = 0.0,
                 attention_dropout: float = 0.0, window: int = 0) -> None:
        super().__init__()
        self.window = window
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.attn = Attention(channels, num_heads, attention_dropout, dropout)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.ffn = MODELS.build(dict(dict(ffn_drop=dropout), **ffn, embed_dims=channels, add_identity=False))

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, N, C) -> (B, N, C); `grid` is (H, W) of the patches, which are the last H * W tokens."""
        x = x + self.drop_path(self._attend(self.norm1(x), grid))
        return x + self.drop_path(self.ffn(self.norm2(x)))

    def _attend(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        if not self.window:
            return self.attn(x)
        height, width = grid
        parts = self.attn(windows(x.unflatten(1, (height, width)), self.window))
        return merge_windows(parts, self.window, height, width).flatten(1, 2)


@MODELS.register_module()
class KAT(BaseModule):
    """Kolmogorov-Arnold transformer (arXiv:2409.10594).

    Args:
        arch: 'tiny', 'small' or 'base', or a dict of channels, depth and num_heads.
        img_size: side of the images that the position embedding is made for; other sizes are served by bicubic resizing of
            the embedding, in the forward pass.
        patch_size: pixels of a patch's side.
        in_channels: of the image.
        mlp_ratio: channels inside the feed-forward part, as a multiple.
        ffn: config of the feed-forward part; GRKAN, or mmcv's FFN for a plain ViT.
        drop_path_rate: of the last block; it grows linearly from 0 at the first.
        dropout, attention_dropout, position_dropout: as named, 0 in all published models.
        out_type: 'token' (B, C), the class token; 'average' (B, C), the mean of the patches (as in the official code the norm
            comes behind it, and the class token stays in attention); 'map', feature maps (B, C, h, w) for dense prediction,
            images padded to whole patches.
        class_token: whether there is a class token; windows cannot have one.
        out_indices: blocks whose outputs are maps.
        window: side of the windows of attention, in patches; 0 for attention among all patches everywhere.
        global_indices: blocks that attend to all patches where `window` is set.
        out_norm: whether maps pass the final norm.
        weight_init: 'official' (truncated normal of 0.02, mimetic attention: what published models start from),
            'variance' (the same, feed-forward parts by the paper's variance-preserving rule) or 'vit' (truncated normal alone).
        with_checkpoint: make blocks again in the backward pass instead of keeping their insides.
        init_cfg: mmengine's; a position embedding of another grid in a checkpoint is resized.

    Raises:
        ValueError: for an unknown arch, out_type or weight_init, or windows with a class token.
    """
    ARCHS = dict(tiny=dict(channels=192, depth=12, num_heads=3), small=dict(channels=384, depth=12, num_heads=6),
                 base=dict(channels=768, depth=12, num_heads=12))

    def __init__(self, arch: str | dict = 'tiny', *, img_size: int | Sequence[int] = 224, patch_size: int = 16,
                 in_channels: int = 3, mlp_ratio: float = 4.0, ffn: dict | None = None, drop_path_rate: float = 0.0,
                 dropout: float = 0.0, attention_dropout: float = 0.0, position_dropout: float = 0.0,
                 out_type: str = 'token', class_token: bool = True, out_indices: Sequence[int] = (-1,), window: int = 0,
                 global_indices: Sequence[int] = (), out_norm: bool = False, weight_init: str = 'official',
                 with_checkpoint: bool = False, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if isinstance(arch, str) and arch not in self.ARCHS:
            raise ValueError(f'arch must be one of {list(self.ARCHS)}, or a dict of channels, depth and num_heads; got {arch!r}')
        if out_type not in ('token', 'average', 'map'):
            raise ValueError(f"out_type must be 'token', 'average' or 'map', got {out_type!r}")
        if window and class_token:
            raise ValueError('attention in windows has no place for a class token: set class_token=False')
        if out_type == 'token' and not class_token:
            raise ValueError("out_type='token' needs class_token=True")
        channels, depth, num_heads = (dict(self.ARCHS[arch] if isinstance(arch, str) else arch)[key]
                                      for key in ('channels', 'depth', 'num_heads'))
        side = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        self.grid = (side[0] // patch_size, side[1] // patch_size)
        self.channels, self.patch_size, self.out_type = channels, patch_size, out_type
        self.out_indices = tuple(index % depth for index in out_indices)
        self.with_checkpoint = with_checkpoint
        self.patch_embed = nn.Conv2d(in_channels, channels, patch_size, patch_size)
        self.prefix = int(class_token)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels)) if class_token else None
        self.pos_embed = nn.Parameter(torch.zeros(1, self.prefix + self.grid[0] * self.grid[1], channels))
        self.pos_drop = nn.Dropout(position_dropout)
        ffn = dict(ffn or dict(type='mmxf.GRKAN', act_init='swish'))
        ffn.setdefault('feedforward_channels', int(mlp_ratio * channels))
        open_blocks = {index % depth for index in global_indices}
        self.blocks = nn.ModuleList(
            Block(channels, num_heads, ffn, drop_path=drop_path_rate * i / max(depth - 1, 1), dropout=dropout,
                  attention_dropout=attention_dropout, window=0 if i in open_blocks else window) for i in range(depth))
        self.norm = nn.LayerNorm(channels, eps=1e-6) if out_type != 'map' or out_norm else nn.Identity()
        if weight_init not in ('official', 'variance', 'vit'):
            raise ValueError(f"weight_init must be 'official', 'variance' or 'vit', got {weight_init!r}")
        self.weight_init = weight_init
        self._draw_weights('vit')       # the mimetic start takes half a minute of singular values for KAT-B: `init_weights`

    def _draw_weights(self, mode: str) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.cls_token is not None:
            nn.init.normal_(self.cls_token, std=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, Attention) and mode != 'vit':
                bound = (6 / (2 * module.proj.in_features)) ** 0.5
                nn.init.uniform_(module.qkv.weight, -bound, bound)
                module.mimetic()
            if isinstance(module, GRKAN) and mode == 'variance':
                module.keep_variance()

    def init_weights(self) -> None:
        """Draws the weights as `weight_init` says, or loads a checkpoint, whose position embedding is fitted to this grid."""
        if not (isinstance(self.init_cfg, dict) and self.init_cfg.get('type') == 'Pretrained'):
            if not self._is_init:
                self._draw_weights(self.weight_init)
            super().init_weights()
            return
        file = self.init_cfg['checkpoint']
        state = CheckpointLoader.load_checkpoint(file, map_location='cpu')
        state = state.get('state_dict', state)
        state = {key.removeprefix('backbone.'): value for key, value in state.items() if not key.startswith('head.')}
        missing, unexpected = self.load_state_dict(self.fitted(state), strict=False)
        if missing or [key for key in unexpected if not key.startswith(('norm.', 'cls_token'))]:
            raise ValueError(f'{file} does not fit KAT: {len(missing)} weights are missing ({", ".join(missing[:3])}), '
                             f'{len(unexpected)} are unknown ({", ".join(unexpected[:3])}). Official checkpoints first pass '
                             'mmxf convert-checkpoint kat')
        self._is_init = True

    def fitted(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The state dict with its position embedding resized to this grid, its class token's part dropped or kept as here."""
        embed = state.get('pos_embed')
        if embed is None:
            return state
        patches = embed.shape[1]
        prefix = 0 if round(patches**0.5) ** 2 == patches else 1
        side = round((patches - prefix) ** 0.5)
        grid = self.grid if patches - prefix == self.grid[0] * self.grid[1] else (side, side)
        first = embed[:, :prefix] if prefix == self.prefix else self.pos_embed.detach()[:, :self.prefix]
        return {**state, 'pos_embed': torch.cat([first, _resize(embed[:, prefix:], grid, self.grid)], 1)}

    def _embed(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        height, width = x.shape[-2:]
        p = self.patch_size
        if height % p or width % p:
            if self.out_type != 'map':
                raise ValueError(f'the image of {height} x {width} pixels cannot be parted into patches of {p}: resize it')
            x = F.pad(x, (0, -width % p, 0, -height % p))
        x = self.patch_embed(x)                                                     # (B, C, h, w)
        grid = tuple(x.shape[-2:])
        x = x.flatten(2).transpose(1, 2)                                            # (B, N, C)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], 1)
        position = self.pos_embed
        if _differ(grid, self.grid):
            position = torch.cat([position[:, :self.prefix], _resize(position[:, self.prefix:], self.grid, grid)], 1)
        return self.pos_drop(x + position), grid

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(B, 3, H, W) -> features (B, C), or for out_type='map' a tuple of (B, C, h, w), one for each of `out_indices`."""
        x, grid = self._embed(x)
        maps = []
        for i, block in enumerate(self.blocks):
            x = (checkpoint(block, x, grid, use_reentrant=False) if self.with_checkpoint and self.training else block(x, grid))
            if self.out_type == 'map' and i in self.out_indices:
                patches = self.norm(x)[:, self.prefix:]
                maps.append(patches.transpose(1, 2).unflatten(2, grid).contiguous())
        if self.out_type == 'map':
            return tuple(maps)
        if self.out_type == 'average':
            return self.norm(x[:, self.prefix:].mean(1))
        return self.norm(x)[:, 0]


def _resize(position: Tensor, grid: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """(1, h * w, C) of one grid to another, bicubic with antialiasing, as the official code does."""
    if not _differ(grid, new):
        return position
    image = position.float().transpose(1, 2).unflatten(2, grid)
    image = F.interpolate(image, new, mode='bicubic', antialias=True, align_corners=False)
    return image.flatten(2).transpose(1, 2).to(position.dtype)


def _differ(grid: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two grids differ, or may: a file exported for all sizes has symbols for its grid, which no branch may ask."""
    return any(isinstance(side, torch.SymInt) for side in (*grid, *other)) or tuple(grid) != tuple(other)
