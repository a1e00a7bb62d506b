"""OmniFusion's decoder on an encoder of one's choice, as a plain network for perspective images."""
from mmengine.model import BaseModule
from torch import Tensor

from mmxf.registry import MODELS


@MODELS.register_module()
class DepthUNet(BaseModule):
    """Depth of perspective images; with `TangentDepth` around it, of panoramas.

    Args:
        encoder: config; gives levels from fine to coarse: `DepthResNet`, or a backbone of mmsegmentation or mmdetection.
        decoder: config of a `DepthDecoder`; its `in_channels` follow from a `DepthResNet` and are given for others.
        init_cfg: mmengine's.
    """

    def __init__(self, encoder: dict, decoder: dict, *, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.encoder = MODELS.build(encoder)
        widths = {} if 'in_channels' in decoder else dict(in_channels=self.encoder.channels)
        self.decoder = MODELS.build(dict(widths, **decoder))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 1, H, W) metres, not negative."""
        return self.decoder(self.encoder(images), images.shape[2:])[0]
