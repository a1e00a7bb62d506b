"""GRKAN as the feed-forward part of mmsegmentation's plain ViT-S, in UPerNet on ADE20K: what `ffn` in a config does.

Not a row of the paper.
"""
_base_ = 'kat_s_ade20k.py'

model = dict(backbone=dict(
    _delete_=True,
    type='mmxf.FFNVisionTransformer',
    img_size='${image_size}',
    patch_size=16,
    embed_dims='${channels}',
    num_layers=12,
    num_heads=6,
    mlp_ratio=4,
    out_indices=(2, 5, 8, 11),
    drop_path_rate='${drop_path_rate}',
    ffn=dict(type='mmxf.GRKAN', act_init='gelu')))
