"""OmniFusion's encoder and decoder alone, as a plain network for perspective images."""
from mmengine.model import BaseModule
from torch import Tensor

from mmxf.registry import MODELS


@MODELS.register_module()
class DepthUNet(BaseModule):
    """Depth of perspective images; with `TangentDepth` around it, of panoramas.

    Args:
        encoder: config; gives levels from fine to coarse (`DepthResNet`).
        decoder: config of a `DepthDecoder`; its `in_channels` follow from the encoder.
        init_cfg: mmengine's.
    """

    def __init__(self, encoder: dict, decoder: dict, *, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.encoder = MODELS.build(encoder)
        self.decoder = MODELS.build(dict(dict(in_channels=self.encoder.channels), **decoder))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1, H, W) metres, not negative."""
        return self.decoder(self.encoder(images), images.shape[2:])[0]
