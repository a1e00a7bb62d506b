"""Patches around another network: mmsegmentation's MixVisionTransformer with a plain decoder, on MiniWorld's rooms.

Not a row of the paper: what any network for perspective images needs in order to see panoramas.
"""
_base_ = 'omnifusion_r18_mini.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='TangentDepth',
        rows=4,
        fov=80.0,
        patch_size=32,
        network=dict(
            type='DepthUNet',
            encoder=dict(
                type='mmseg.MixVisionTransformer',
                embed_dims=16,
                num_layers=[1, 1, 1, 1],
                num_heads=[1, 2, 4, 8],
                drop_path_rate=0.0),
            decoder=dict(
                type='DepthDecoder',
                in_channels=(16, 32, 64, 128),    # embed_dims times num_heads
                channels=((64, 64), (64, 32), (32, 32), (16,))))))
