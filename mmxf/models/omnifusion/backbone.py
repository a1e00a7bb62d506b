"""OmniFusion as a whole: patches, their features with geometry, tokens, depth, merge, and again."""
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmxf.registry import MODELS
from mmxf.structures.sphere import TangentPatches

GEOMETRY = {'centre': 5, 'points': 3}


def _embedding(in_channels: int, out_channels: int) -> nn.Sequential:
    """The MLP of the geometry, point by point."""
    return nn.Sequential(nn.Conv2d(in_channels, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
                         nn.Conv2d(16, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU())


@MODELS.register_module()
class OmniFusion(BaseModule):
    """Depth of panoramas.

    Args:
        encoder: config of a `DepthResNet`.
        decoder: config of a `DepthDecoder`; its `in_channels` follow from the encoder.
        transformer: config of a `PatchTransformer`, whose sizes follow from the rest; None: patches do not see one another.
        rows, fov, true_angle: see `TangentPatches`; by default as the official code.
        patch_size: pixels of a side, a multiple of 32; the official code works at 128 only.
        geometry: what is embedded and added to the first stage: 'centre', the patch's centre, as the official code of a single
            pass; 'points', unit vectors, and in further passes points in space, as the official code of several; None: nothing.
        iterations: passes; later ones see the depth of the one before as points.
        confidence: merge by predicted confidence; the official code of several passes does not.
        init_cfg: mmengine's.

    Raises:
        ValueError: for an unknown geometry, several passes without points, or a patch size that is no multiple of 32.
    """

    def __init__(self, encoder: dict, decoder: dict, transformer: dict | None = None, *, rows: int = 4,
                 fov: float | tuple[float, float] = 80., true_angle: bool = False, patch_size: int = 128,
                 geometry: str | None = 'centre', iterations: int = 1, confidence: bool = True,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if geometry is not None and geometry not in GEOMETRY:
            raise ValueError(f"geometry must be 'centre', 'points' or None; got {geometry!r}")
        if iterations < 1 or (iterations > 1 and geometry != 'points'):
            raise ValueError(f'iterations={iterations}, geometry={geometry!r}: several passes hand depth on as points, so they '
                             "need geometry='points'")
        if patch_size < 32 or patch_size % 32:
            raise ValueError(f'patch_size must be a multiple of 32, got {patch_size}')
        self.layout = TangentPatches(rows, fov, true_angle)
        self.patch_size, self.geometry, self.iterations, self.use_confidence = patch_size, geometry, iterations, confidence
        self.encoder = MODELS.build(encoder)
        channels = self.encoder.channels
        self.decoder = MODELS.build(dict(dict(in_channels=channels), **decoder))
        self.transformer = None
        if transformer is not None:
            self.transformer = MODELS.build(dict(dict(num_patches=self.layout.num_patches, channels=channels[-1],
                                                      size=(patch_size // 32,) * 2), **transformer))
        self.first_embedding = _embedding(GEOMETRY[geometry], channels[1]) if geometry else None
        self.later_embedding = _embedding(3, channels[1]) if geometry == 'points' else None

    def forward(self, panoramas: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> depth (B, 1, H, W) of each pass, metres along the ray."""
        size = tuple(panoramas.shape[2:])
        images = self.layout.project(panoramas, self.patch_size).flatten(0, 1)                    # (B N, 3, h, w)
        results: list[Tensor] = []
        early = None
        for _ in range(self.iterations):
            if early is None or self.training:      # in training each pass moves the norms' statistics, as officially
                early = self.encoder.early(images)
            geometry = self._embed(panoramas.shape[0], results[-1] if results else None, images.dtype)
            depth, confidence = self._patches(*early, geometry, panoramas.shape[0])
            results.append(self._merge(depth, confidence, size))
        return results

    def _embed(self, batch: int, depth: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """Features of the geometry, (B N or N, C, h / 4, w / 4), or of one pixel a patch where it is constant."""
        if self.geometry is None:
            return None
        side, device = self.patch_size // 4, next(self.parameters()).device
        if depth is not None:
            points = self.layout.directions(side, device, depth.dtype) * self.layout.project(depth, side)
            return self.later_embedding(points.flatten(0, 1))                                     # (B N, C, h, w)
        if self.geometry == 'points':
            features = self.first_embedding(self.layout.directions(side, device, dtype))
        else:
            centre = self.layout.centres() / torch.tensor([torch.pi, torch.pi / 2], dtype=torch.float64)
            centre = torch.cat([centre, torch.ones(len(centre), 1), centre], 1).to(device, dtype)[..., None, None]
            # Statistics of training count every pixel.
            features = self.first_embedding(centre.expand(-1, -1, side, side) if self.training else centre)
        return features.repeat(batch, 1, 1, 1)

    def _patches(self, stem: Tensor, first: Tensor, geometry: Tensor | None, batch: int) -> tuple[Tensor, Tensor]:
        """Depth and confidence logits of patches, (B, N, 1, h, w)."""
        if geometry is not None:
            first = first + geometry
        levels = [stem, first, *self.encoder.late(first)]
        if self.transformer is not None:
            levels[-1] = self.transformer(levels[-1].unflatten(0, (batch, -1))).flatten(0, 1)
        depth, confidence = self.decoder(levels, (self.patch_size,) * 2)
        return depth.unflatten(0, (batch, -1)), confidence.unflatten(0, (batch, -1))

    def _merge(self, depth: Tensor, confidence: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, 1, H, W): the mean of the patches that show a pixel, by confidence where that is on."""
        if not self.use_confidence:
            return self.layout.merge(depth, size)
        if depth.dtype != torch.float64:        # half precision would lose the small weights
            depth, confidence = depth.float(), confidence.float()
        weight = confidence.sigmoid()
        total, weight = self.layout.merge(torch.cat([depth * weight, weight], 2), size).chunk(2, 1)
        # Not `where`: ONNX's optimiser takes a constant as small as this for 0.
        return total / (weight + (weight <= 1e-8) * 1e-8)
