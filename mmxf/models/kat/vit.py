"""mmsegmentation's plain ViT with a feed-forward part of choice: GRKAN where its own would stand."""
import copy

from mmseg.models.backbones import VisionTransformer

from mmxf.registry import MODELS


@MODELS.register_module()
class FFNVisionTransformer(VisionTransformer):
    """`mmseg.VisionTransformer` that takes ``ffn``, a config such as ``dict(type='GRKAN')``.

    mmseg's own class always builds mmcv's FFN (the transformers of mmdet and mmcv that take ``ffn_cfg`` with a type need no
    help: name GRKAN there).

    Args:
        ffn: config of the feed-forward part; it gets `embed_dims`, `feedforward_channels`, `ffn_drop` and `dropout_layer` of
            the layer. Default: what mmseg builds.
        kwargs: of `mmseg.VisionTransformer`.
    """

    def __init__(self, *, ffn: dict | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        if ffn is None:
            return
        for layer in self.layers:
            old = layer.ffn
            # Its dropout layer is taken over: it holds the layer's own drop-path rate.
            layer.ffn = MODELS.build(dict(copy.deepcopy(dict(ffn)), embed_dims=old.embed_dims,
                                          feedforward_channels=old.feedforward_channels))
            layer.ffn.dropout_layer = old.dropout_layer
